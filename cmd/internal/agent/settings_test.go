package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/syncer"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestValidate: what is refused is told in words that name it, and all of it at once.
func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Settings)
		want   []string // a line each, by its beginning
	}{
		"fine":                 {func(*Settings) {}, nil},
		"watch a daemon":       {func(s *Settings) { s.Watch, s.Target, s.PasswordFile, s.ConGiven = true, "h::m", "f", true }, nil},
		"watch and dry run":    {func(s *Settings) { s.Watch, s.DryRun = true, true }, []string{"--watch and --dry-run exclude"}},
		"watch and progress":   {func(s *Settings) { s.Watch, s.Progress = true, true }, []string{"--watch and --progress exclude"}},
		"watch and stats":      {func(s *Settings) { s.Watch, s.Stats = true, true }, []string{"--watch and --stats exclude"}},
		"watch, -K and delete": {func(s *Settings) { s.Watch, s.KeepDirlinks, s.Delete = true, true, true }, []string{"--keep-dirlinks with --watch and --delete is not safe"}},
		"delete what":          {func(s *Settings) { s.Delete, s.Recurse = true, false }, []string{"--delete needs --recursive"}},
		"negative times": {func(s *Settings) {
			s.Watch, s.Settle, s.MaxDelay, s.Grace, s.Timeout, s.ConTimeout = true, -1, -1, -1, -1, -1
		},
			[]string{"--settle -1ns", "--max-delay -1ns", "--grace -1ns", "--timeout -1ns", "--contimeout -1ns"}},
		"ports":           {func(s *Settings) { s.Target, s.Port = "h::m", 65536 }, []string{"--port 65536 is no port"}},
		"last port":       {func(s *Settings) { s.Target, s.Port = "h::m", 65535 }, nil},
		"levels":          {func(s *Settings) { s.LogLevel = "fatal" }, []string{`--log-level "fatal": it is debug, info, warn or error`}},
		"no level":        {func(s *Settings) { s.LogLevel = "" }, []string{`--log-level ""`}},
		"formats":         {func(s *Settings) { s.LogFormat = "JSON" }, []string{`--log-format "JSON": it is console, json or journal`}},
		"no source":       {func(s *Settings) { s.Source = "" }, []string{"the source is empty"}},
		"no target":       {func(s *Settings) { s.Target = "" }, []string{"the target is empty"}},
		"the root":        {func(s *Settings) { s.Target = "/" }, []string{`target "/" is the root of the machine`}},
		"a host's root":   {func(s *Settings) { s.Target = "u@h:/." }, []string{`target "u@h:/." is the root of the machine`}},
		"a module":        {func(s *Settings) { s.Target = "h::m" }, nil},
		"once as new":     {func(s *Settings) { s.NewSource = true }, []string{"--new-source is for --watch"}},
		"nothing":         {func(s *Settings) { s.Source, s.Target = "", "" }, []string{"the source is empty", "the target is empty"}},
		"pull":            {func(s *Settings) { s.Source = "h::m/x" }, []string{`source "h::m/x" is on another machine`}},
		"pull a URL":      {func(s *Settings) { s.Source = "rsync://h/m" }, []string{`source "rsync://h/m" is on another machine`}},
		"pull by ssh":     {func(s *Settings) { s.Source = "h:x" }, []string{`source "h:x" is on another machine`}},
		"a colon":         {func(s *Settings) { s.Source = "./h:x" }, nil},
		"local password":  {func(s *Settings) { s.PasswordFile = "f" }, []string{`--password-file is for daemons, "/b" is a local path`}},
		"local port":      {func(s *Settings) { s.Port = 873 }, []string{`--port is for daemons, "/b" is a local path`}},
		"settle once":     {func(s *Settings) { s.Settle, s.NoTune = 1, true }, []string{"--settle is for --watch", "--no-tune is for --watch"}},
		"local contimout": {func(s *Settings) { s.ConGiven = true }, []string{`--contimeout is for remote targets, "/b" is a local path`}},
		"delete a list":   {func(s *Settings) { s.Delete, s.Recurse, s.Files = true, false, []string{"a"} }, nil},
		"in place": {func(s *Settings) { s.Inplace, s.Partial, s.PartialDir, s.DelayUpdates = true, true, ".p", true },
			[]string{"--inplace and --partial-dir exclude", "--inplace and --delay-updates exclude"}},
		"append":        {func(s *Settings) { s.Append, s.WholeFile = true, true }, []string{"--append and --whole-file exclude"}},
		"append verify": {func(s *Settings) { s.AppendVerify, s.DelayUpdates = true, true }, []string{"--append and --delay-updates exclude"}},
		"in place fine": {func(s *Settings) { s.Inplace, s.Sparse, s.Partial, s.WholeFile = true, true, true, true }, nil},
		"protocols":     {func(s *Settings) { s.Target, s.Protocol = "h::m", 33 }, []string{"--protocol 33: lockstep speaks 30, 31 and 32"}},
		"a shell": {func(s *Settings) {
			s.Target, s.Rsh, s.RsyncPath, s.Family, s.Address, s.ConGiven = "h:b", "ssh", "r", 4, "::1", true
		}, nil},
		"a daemon": {func(s *Settings) {
			s.Watch, s.Target, s.NoPrewarm, s.Family, s.Address, s.Sockopts = true, "h::m", true, 6, "::1", "SO_KEEPALIVE"
		}, nil},
		"no shell":        {func(s *Settings) { s.Target, s.RsyncPath = "h::m", "r" }, []string{"--rsync-path is for a remote shell"}},
		"daemon in shell": {func(s *Settings) { s.Target, s.Rsh, s.RsyncPath, s.Port = "h::m", "ssh", "r", 3 }, []string{"--port and --rsh exclude"}},
		"no daemon":       {func(s *Settings) { s.Target, s.Port, s.Sockopts = "h:b", 2, "TCP_NODELAY" }, []string{"--port is for daemons: for \"h:b\" write -e 'ssh -p 2'", "--sockopts is for daemons"}},
		"shell prewarmed": {func(s *Settings) { s.Watch, s.Target, s.NoPrewarm = true, "h:b", true }, []string{"--no-prewarm is for daemons"}},
		"local wire": {func(s *Settings) {
			s.Watch, s.Rsh, s.RemoteOptions, s.Family, s.NoPrewarm = true, "ssh", []string{"--fake-super", "-v"}, 4, true
		}, []string{"--rsh is for remote targets", "-4 is for", "--no-prewarm is for", "--remote-option=-v is for"}},
	} {
		s := Defaults()
		s.Source, s.Target = "/a", "/b"
		test.change(&s)
		var got []string
		if err := s.Validate(); err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		ok := len(got) == len(test.want)
		for i := range test.want {
			ok = ok && strings.HasPrefix(got[i], test.want[i])
		}
		if !ok {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestConfig: what the settings are to the syncer.
func TestConfig(t *testing.T) {
	for name, test := range map[string]struct {
		change              func(*Settings)
		timeout, conTimeout time.Duration
	}{
		"once":             {func(s *Settings) { s.Target = "h::m" }, 0, 0},
		"watch":            {func(s *Settings) { s.Target, s.Watch = "h::m", true }, DefaultWatchTimeout, DefaultConTimeout},
		"watch, never":     {func(s *Settings) { s.Target, s.Watch, s.TimeoutGiven, s.ConGiven = "h::m", true, true, true }, 0, 0},
		"watch, locally":   {func(s *Settings) { s.Watch = true }, 0, 0},
		"once with a time": {func(s *Settings) { s.Target, s.Timeout, s.TimeoutGiven = "h::m", time.Second, true }, time.Second, 0},
	} {
		s := Defaults()
		s.Source, s.Target = "src/", "dst"
		test.change(&s)
		cfg, err := s.config(syncer.Sink{})
		must(t, err)
		got := []any{cfg.Timeout, cfg.ConTimeout, cfg.Keep, cfg.Source, cfg.Target.String()}
		target, err := syncer.ParseTarget(s.Target)
		must(t, err)
		if diff := cmp.Diff([]any{test.timeout, test.conTimeout, s.Watch, "src/", target.String()}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
