package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// connect opens a connection to a client's server.
func connect(t *testing.T, c *Client) net.Conn {
	t.Helper()
	conn, err := dial(context.Background(), c.Path())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestStrict has paths, methods and parameters taken as they are written.
func TestStrict(t *testing.T) {
	f := &fake{}
	c := serve(t, f)
	for _, r := range []struct {
		request string
		want    int
		says    string
	}{
		{"GET /v1/status HTTP/1.1\n", 200, `"syncs"`},
		{"HEAD /v1/status HTTP/1.1\n", 200, ""},
		{"GET /metrics HTTP/1.1\n", 404, "there is nothing"},
		{"GET //v1/status HTTP/1.1\n", 404, "there is nothing"},
		{"GET /v1/../v1/status HTTP/1.1\n", 404, "there is nothing"},
		{"GET /v1/status/ HTTP/1.1\n", 404, "there is nothing"},
		{"GET /v1/%73tatus HTTP/1.1\n", 404, "there is nothing"},
		{"GET /v1%2fstatus HTTP/1.1\n", 404, "there is nothing"},
		{"GET /../../etc/passwd HTTP/1.1\n", 404, "there is nothing"},
		{"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\n", 404, "there is nothing"},
		{"GET /v1/stop HTTP/1.1\n", 405, "takes no"},
		{"HEAD /v1/stop HTTP/1.1\n", 405, ""},
		{"HEAD /v1/events HTTP/1.1\n", 405, ""},
		{"POST /v1/status HTTP/1.1\n", 405, "takes no"},
		{"PUT /v1/pause HTTP/1.1\n", 405, "takes no"},
		{"CONNECT / HTTP/1.1\n", 405, "takes no"},
		{"CONNECT example.com:80 HTTP/1.1\n", 404, ""},
		{"GET /v1/status?syncs=www HTTP/1.1\n", 400, `no parameter`},
		{"POST /v1/pause?sync=a&sync=b HTTP/1.1\n", 400, "2 times"},
		{"POST /v1/pause?sync=%zz HTTP/1.1\n", 400, "invalid URL escape"},
		{"POST /v1/flush?timeout=soon HTTP/1.1\n", 400, "no time"},
		{"POST /v1/flush?timeout=-1s HTTP/1.1\n", 400, "no time"},
		{"POST /v1/resync?checksum=yes HTTP/1.1\n", 400, "neither"},
		{"POST /v1/resync?path=/etc/passwd HTTP/1.1\n", 400, "below the source"},
		{"POST /v1/resync?path=a/../../b HTTP/1.1\n", 400, "below the source"},
		{"POST /v1/resync?path=a%00b HTTP/1.1\n", 400, "NUL"},
		{"GET /v1/queue?most=0 HTTP/1.1\n", 400, "no number"},
		{"GET /v1/queue?most=1000000000 HTTP/1.1\n", 400, "no number"},
		{"GET /v1/log-level?level=debug HTTP/1.1\n", 400, "no parameter"},
		{"POST /v1/log-level?component=push HTTP/1.1\n", 400, "a level is needed"},
		{"POST /v1/pause HTTP/1.1\nContent-Length: 5\n", 413, "no body"},
		{"POST /v1/pause HTTP/1.1\nTransfer-Encoding: chunked\n", 413, "no body"},
	} {
		status, body, header := say(t, connect(t, c), r.request+"Host: localhost\n")
		if status != r.want || !strings.Contains(body, r.says) {
			t.Errorf("%.60q: %d %q, want %d %q", r.request, status, body, r.want, r.says)
		}
		if status == 405 && header.Get("Allow") == "" {
			t.Errorf("%.60q: no Allow", r.request)
		}
	}
	long := connect(t, c)
	defer long.Close()
	long.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(long, "POST /v1/pause HTTP/1.1\r\nHost: localhost\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 40<<10))
	if b, err := io.ReadAll(long); errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(b), " 204 ") {
		t.Errorf("a header of 40 KiB: %q, %v", b, err)
	}
	if told := f.told(); len(told) > 0 {
		t.Errorf("the service was told %q", told)
	}
}

func TestHealth(t *testing.T) {
	f := &fake{agent: api.Agent{Syncs: []api.Sync{{Name: "www", Source: "/srv/www/"}, {Name: "bad", Error: "no such directory"}, {Name: "ok", Watch: api.Watch{Ready: true}}}}}
	h := Handler(f, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "families") }))
	get := func(path string) (int, string) {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
		return r.Code, strings.TrimSpace(r.Body.String())
	}
	expect := func(path string, status int, text string) {
		t.Helper()
		if s, b := get(path); s != status || b != text {
			t.Errorf("%s: %d %q, want %d %q", path, s, b, status, text)
		}
	}
	expect("/healthz", 200, "ok")
	expect("/readyz", 503, `sync "www" does not watch all of "/srv/www/" yet`)
	expect("/metrics", 200, "families")
	f.set(func(a *api.Agent) { a.Ready = true })
	expect("/readyz", 200, "ready")
	f.dead = true
	if s, b := get("/healthz"); s != 503 || !strings.Contains(b, "no progress") {
		t.Errorf("/healthz of what hangs: %d %q", s, b)
	}
}

// TestPanic has a bug end an answer and nothing else.
func TestPanic(t *testing.T) {
	var told strings.Builder
	log.SetOutput(&told)
	defer log.SetOutput(os.Stderr)
	f := &fake{fail: func() { panic("ouch") }}
	h := Handler(f, nil)
	r := httptest.NewRecorder()
	h.ServeHTTP(r, httptest.NewRequest(http.MethodPost, "/v1/pause", nil))
	if r.Code != 500 || !strings.Contains(r.Body.String(), "a bug") {
		t.Errorf("%d %q", r.Code, r.Body)
	}
	if !strings.Contains(told.String(), "ouch") || !strings.Contains(told.String(), "handler_test.go") {
		t.Errorf("the log has %q", told.String())
	}
}

// TestSlow has clients that send and read slowly, and one that is answered at once all the same.
func TestSlow(t *testing.T) {
	f := large(150)
	c := serve(t, f)
	for range 40 {
		defer connect(t, c).Close() // says nothing
		half := connect(t, c)
		defer half.Close()
		fmt.Fprint(half, "GET /v1/status HTTP/1.1\r\nHost: ")
		deaf := connect(t, c)
		defer deaf.Close()
		fmt.Fprint(deaf, strings.Repeat("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n", 50))
	}
	var worst time.Duration
	for range 20 {
		began := time.Now()
		if _, err := c.Fetch(); err != nil {
			t.Fatal(err)
		}
		worst = max(worst, time.Since(began))
	}
	t.Logf("the longest answer took %v", worst)
	if worst > 2*time.Second {
		t.Errorf("an answer took %v beside slow clients", worst)
	}
}

// TestServeEnds has the end of a server not wait for who is connected, and its socket go.
func TestServeEnds(t *testing.T) {
	f := &fake{}
	f.flush = func(ctx context.Context) ([]api.Flushed, error) { <-ctx.Done(); return nil, ctx.Err() }
	path := t.TempDir() + "/control.sock"
	l, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- Serve(ctx, l, Handler(f, nil)) }()
	c := Dial(path)
	flushed, followed := make(chan error, 1), make(chan error, 1)
	seen := make(chan struct{}, 1)
	go func() { _, err := c.Flush(context.Background(), ""); flushed <- err }()
	go func() { followed <- c.Follow(context.Background(), func(api.Agent) { seen <- struct{}{} }) }()
	<-seen
	waitFor(t, "the flush is on its way", func() bool { return len(f.told()) == 1 })
	idle, err := dial(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	cancel()
	for what, ch := range map[string]chan error{"Serve": over, "Flush": flushed, "Follow": followed} {
		select {
		case err := <-ch:
			t.Logf("%s: %v", what, err)
			if (err == nil) != (what == "Serve") {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s does not end", what)
		}
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is there: %v", err)
	}
	idle.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadAll(idle); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection that was idle stays open")
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not so: %s", what)
		}
	}
}

// large is a service of many targets.
func large(n int) *fake {
	f := &fake{agent: api.Agent{Version: "1", PID: 1, Ready: true}}
	for i := range n / 3 {
		s := api.Sync{Name: fmt.Sprintf("sync%02d", i), Source: fmt.Sprintf("/srv/data/sync%02d/", i), State: api.StateInStep, Text: "everything is on the targets", Watch: api.Watch{Ready: true, Backend: "inotify", Watches: 1234, Limit: 524288}}
		for j := range 3 {
			s.Targets = append(s.Targets, api.Target{Sync: s.Name, Source: s.Source, Target: fmt.Sprintf("backuper@host%d::module%02d/", j, i), State: api.StateInStep, Text: "everything is on the target",
				Since: time.Now(), LastSuccess: time.Now(), Totals: api.Totals{Pushes: 1000, Files: 100000, LiteralBytes: 1 << 30}})
		}
		f.agent.Syncs = append(f.agent.Syncs, s)
	}
	return f
}
