package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// controlName is the socket of a target's directory of state: who may enter that may steer.
const controlName = "control.sock"

// control serves the control socket of one replica until ctx is done. The protocol is HTTP with JSON:
//
//	GET  /status             Status
//	POST /release            []api.Held: what was let go
//	POST /resync?checksum=1  nothing: a verification begins, by content
func (r *replica) control(ctx context.Context, dir string) error {
	path := filepath.Join(dir, controlName)
	l, err := listen(path)
	if err != nil {
		r.log.Warn("there is no control socket: status, release and resync cannot be asked for", zap.String("path", path), zap.Error(err))
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, r.status()) })
	mux.HandleFunc("POST /release", func(w http.ResponseWriter, _ *http.Request) { answer(w, r.release()) })
	mux.HandleFunc("POST /resync", func(w http.ResponseWriter, q *http.Request) {
		r.verify.ask(q.FormValue("checksum") == "1")
		r.feed.interrupt()
		w.WriteHeader(http.StatusNoContent)
	})
	server := &http.Server{Handler: mux, ReadTimeout: controlTimeout, WriteTimeout: controlTimeout, MaxHeaderBytes: 1 << 14}
	var g errgroup.Group
	g.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ending) != nil {
			return server.Close()
		}
		return nil
	})
	return g.Wait()
}

// controlTimeout bounds how long one question or answer may take on its way.
const controlTimeout = 10 * time.Second

// listen makes the socket, for its owner alone. One that an earlier run left behind makes way; the store's
// lock says that nobody else has it. A path too long for an address is reached through its directory.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.Listen("unix", short)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its name may be one that is gone by then
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return &unlinking{l, path}, nil
}

// unlinking removes its socket when it is closed.
type unlinking struct {
	net.Listener
	path string
}

func (u *unlinking) Close() error {
	err := u.Listener.Close()
	if gone := os.Remove(u.path); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		return errors.Join(err, gone)
	}
	return err
}

// shortPath is another name of path that fits into a socket's address (unix(7): 107 bytes), good until done.
func shortPath(path string) (short string, done func(), err error) {
	const most = 107
	if len(path) <= most {
		return path, func() {}, nil
	}
	fd, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, filepath.Base(path)), func() { unix.Close(fd) }, nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// A Control talks to the lockstep that keeps a target in step.
type Control struct{ client *http.Client }

// ErrNobody says that no lockstep runs there.
var ErrNobody = errors.New("no lockstep is running")

// NewControl is for the target whose state is in dir.
func NewControl(dir string) *Control {
	path := filepath.Join(dir, controlName)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		short, done, err := shortPath(path)
		if err != nil {
			return nil, err
		}
		defer done()
		var d net.Dialer
		return d.DialContext(ctx, "unix", short)
	}
	return &Control{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: controlTimeout}}
}

// Status asks how the target is doing.
func (c *Control) Status() (api.Target, error) {
	var s api.Target
	err := c.ask(http.MethodGet, "/status", &s)
	return s, err
}

// Release lets the deletions go that are held, and tells which.
func (c *Control) Release() ([]api.Held, error) {
	var held []api.Held
	err := c.ask(http.MethodPost, "/release", &held)
	return held, err
}

// Resync begins a comparison with the target, by content if checksum is set.
func (c *Control) Resync(checksum bool) error {
	path := "/resync"
	if checksum {
		path += "?checksum=1"
	}
	return c.ask(http.MethodPost, path, nil)
}

func (c *Control) ask(method, path string, into any) error {
	q, err := http.NewRequest(method, "http://lockstep"+path, nil)
	if err != nil {
		return err
	}
	a, err := c.client.Do(q)
	if err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
			return ErrNobody
		}
		return fmt.Errorf("ask the running lockstep: %w", err)
	}
	defer a.Body.Close()
	if a.StatusCode >= 300 {
		return fmt.Errorf("the running lockstep answers %s to %s", a.Status, path)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(a.Body).Decode(into); err != nil {
		return fmt.Errorf("read the answer of the running lockstep: %w", err)
	}
	return nil
}
