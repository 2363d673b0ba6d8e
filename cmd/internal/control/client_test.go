package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

func TestClientPassesOn(t *testing.T) {
	f := &fake{agent: api.Agent{Version: "1", PID: 7, Syncs: []api.Sync{{Name: "www", Targets: []api.Target{{Target: "b::www", Held: []api.Held{{Path: "\xff"}}}}}}}}
	c := serve(t, f)
	got, err := c.Fetch()
	if time.Since(got.Now) > time.Minute {
		t.Errorf("it was asked at %v", got.Now)
	}
	got.Now = time.Time{}
	if diff := cmp.Diff(f.agent, got); err != nil || diff != "" {
		t.Errorf("Fetch: %v (-want +got):\n%s", err, diff)
	}
	flushed, err := c.Flush(t.Context(), "www")
	if want := []api.Flushed{{Sync: "www", Target: "b::www", Done: true, Took: 0.5}}; err != nil || !slices.Equal(flushed, want) {
		t.Errorf("Flush = %v, %v, want %v", flushed, err, want)
	}
	released, err := c.Release("www", "b::www")
	want, _ := f.Release("www", "b::www")
	if diff := cmp.Diff(want, released); err != nil || diff != "" {
		t.Errorf("Release: %v (-want +got):\n%s", err, diff)
	}
	queue, err := c.Queue("a b/&\xff", "", 7)
	if err != nil || len(queue) != 1 || queue[0].Path != "a" {
		t.Errorf("Queue = %v, %v", queue, err)
	}
	reloaded, err := c.Reload(t.Context())
	if err != nil || !slices.Equal(reloaded.Kept, []string{"www"}) {
		t.Errorf("Reload = %v, %v", reloaded, err)
	}
	for _, level := range []string{"", "debug"} {
		if levels, err := c.LogLevel("push", level); err != nil || levels["push"] != "debug" {
			t.Errorf("LogLevel %q = %v, %v", level, levels, err)
		}
	}
	for name, err := range map[string]error{
		"Pause": c.Pause("www"), "Resume": c.Resume(""), "Resync": c.Resync("www", "b::www", "a&b/c d", true), "RequestStop": c.RequestStop(),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	told := f.told()
	slices.Sort(told)
	wantTold := []string{`flush "www"`, `log-level "" ""`, `log-level "push" "debug"`, `pause "www"`, `queue "a b/&\xff" "" 7`,
		`release "www" "b::www"`, `release "www" "b::www"`, `reload`, `resume ""`, `resync "www" "b::www" "a&b/c d" true`, `stop`}
	slices.Sort(wantTold)
	if diff := cmp.Diff(wantTold, told); diff != "" {
		t.Errorf("the service was told (-want +got):\n%s", diff)
	}
}

// TestErrorsSurvive has each error of the API come out as what it was, with its words.
func TestErrorsSurvive(t *testing.T) {
	f := &fake{}
	c := serve(t, f)
	for _, is := range []error{api.ErrUnknown, api.ErrPaused, api.ErrNotThere, api.ErrSettings, context.DeadlineExceeded, context.Canceled, errors.ErrUnsupported, errors.New("other")} {
		f.err = fmt.Errorf("sync %q: %w", "www", is)
		_, flush := c.Flush(t.Context(), "")
		_, release := c.Release("", "")
		_, queue := c.Queue("", "", 1)
		_, reload := c.Reload(t.Context())
		_, level := c.LogLevel("", "info")
		for name, err := range map[string]error{
			"Flush": flush, "Release": release, "Queue": queue, "Reload": reload, "LogLevel": level,
			"Pause": c.Pause(""), "Resume": c.Resume(""), "Resync": c.Resync("", "", "", false),
		} {
			if err == nil || err.Error() != f.err.Error() {
				t.Errorf("%s: %v, want %q", name, err, f.err)
			}
			if is.Error() != "other" && !errors.Is(err, is) {
				t.Errorf("%s: %v is not %q", name, err, is)
			}
		}
	}
}

// TestFlushTellsWhatIsMissing has a deadline reach the other side, which has the last word.
func TestFlushTellsWhatIsMissing(t *testing.T) {
	f := &fake{flush: func(ctx context.Context) ([]api.Flushed, error) {
		<-ctx.Done()
		return []api.Flushed{{Sync: "www", Target: "b::www", Text: "3 paths are to be pushed"}}, ctx.Err()
	}}
	c := serve(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	list, err := c.Flush(ctx, "")
	if !errors.Is(err, context.DeadlineExceeded) || len(list) != 1 || list[0].Text == "" {
		t.Errorf("Flush = %v, %v, want what is missing and that the time is over", list, err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.Flush(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Flush that was given up: %v", err)
	}
}

func TestNobody(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(filepath.Join(dir, "none.sock")).Fetch(); !errors.Is(err, ErrNobody) {
		t.Errorf("Fetch of no socket: %v, want %v", err, ErrNobody)
	}
	stale := filepath.Join(dir, "stale.sock")
	leave(t, stale)
	if _, err := Dial(stale).Fetch(); !errors.Is(err, ErrNobody) {
		t.Errorf("Fetch of a stale socket: %v, want %v", err, ErrNobody)
	}
}

// TestForeign asks what speaks something else.
func TestForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "foreign.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 1<<10))
			fmt.Fprint(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n")
			c.Close()
		}
	}()
	defer func() { l.Close(); <-done }()
	if _, err := Dial(path).Fetch(); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "404") {
		t.Errorf("Fetch: %v, want %v", err, ErrForeign)
	}
}

// leave makes a socket that nobody answers at.
func leave(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}
