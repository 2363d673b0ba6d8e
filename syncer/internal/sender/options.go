package sender

import (
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
)

const (
	// MinProtocol is that of rsync 3.0, MaxProtocol that of 3.4 and 3.5.
	MinProtocol = 30
	MaxProtocol = 32
)

// Options are the settings of a push, in rsync's words. They hold for many pushes.
type Options struct {
	option.Set
	Sink report.Sink

	Protocol    int             // to announce; 0 is MaxProtocol
	AuthDigests []string        // to announce, strongest first; nil is all that are known
	Checksums   []checksum.Kind // to offer, in canonical order; nil is checksum.Offered()
}

func (o Options) withDefaults() Options {
	if o.Protocol == 0 {
		o.Protocol = MaxProtocol
	}
	if o.AuthDigests == nil {
		o.AuthDigests = authDigests()
	}
	if o.Checksums == nil {
		o.Checksums = checksum.Offered()
	}
	return o
}

// Job is one run: a file list and what the peer is to do beside receiving it.
type Job struct {
	List        List
	Delete      bool     // missing entries are deleted, and types may be replaced by one another
	Prune       bool     // directories that are not Partial lose what is not listed
	Filter      []string // rules for the peer; they travel when Prune is set
	IgnoreTimes bool     // every regular file is compared by content
	// Sent, if not nil, is told of each file that was read to its end and did not change
	// meanwhile: as it was, and when reading began. It may still fail to arrive.
	Sent func(e *flist.Entry, at time.Time)
}

// arguments is the argument vector of the peer's rsync, without a program name, up to
// the "." that ends the options (rsync 3.5.0 options.c, server_options).
func (o *Options) arguments(j *Job, modernPeer bool) []string {
	var short strings.Builder
	for _, f := range []struct {
		on     bool
		letter byte
	}{
		{o.DryRun, 'n'}, {o.Links, 'l'}, {o.WholeFile, 'W'}, {o.Owner, 'o'}, {o.Group, 'g'},
		{o.Devices, 'D'}, {o.Times, 't'}, {o.Perms, 'p'}, {o.Recurse, 'r'}, {o.Checksum, 'c'}, {j.IgnoreTimes, 'I'},
	} {
		if f.on {
			short.WriteByte(f.letter)
		}
	}
	// No "i": one complete list instead of many small ones.
	args := []string{"--server", "-" + short.String() + "e.LsfxCIvu"}
	add := func(on bool, arg string) {
		if on {
			args = append(args, arg)
		}
	}
	add(o.Devices && !o.Specials, "--no-specials")
	add(!o.Devices && o.Specials, "--specials")
	add(j.Prune, "--delete-during")
	add(j.Delete, "--force")
	add(j.List.missing > 0, "--delete-missing-args")
	add(o.MaxDelete >= 0 && (j.Delete || j.Prune), "--max-delete="+strconv.FormatInt(o.MaxDelete, 10))
	add(o.NumericIDs, "--numeric-ids")
	add(o.Timeout > 0, "--timeout="+strconv.Itoa(int(max(1, o.Timeout/time.Second))))
	// Compare times to the nanosecond. Peers before 3.1.3 take the value for nonsense.
	add(modernPeer, "--modify-window=-1")
	return append(args, ".")
}
