package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

var (
	// ErrNobody says that no lockstep listens there.
	ErrNobody = errors.New("no lockstep is running")
	// ErrForeign says that what answers is no lockstep, or one that speaks another language.
	ErrForeign = errors.New("what answers is not this version of lockstep")
)

// clientTimeout bounds a question that is answered at once.
const clientTimeout = 10 * time.Second

// mostAnswer bounds an answer: a status of thousands of targets.
const mostAnswer = 64 << 20

// A Client asks a lockstep in another process. It is an api.Service, may be used by several goroutines, and keeps
// nothing open between questions.
type Client struct {
	path string
	http http.Client
}

var _ api.Service = (*Client)(nil)

// Dial is for the unix socket at path. It does not connect yet.
func Dial(path string) *Client {
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
		DisableKeepAlives: true,
	}
	return &Client{path: path, http: http.Client{Transport: transport}}
}

// Path is that of the socket.
func (c *Client) Path() string { return c.path }

// Fetch is Status with its error.
func (c *Client) Fetch() (api.Agent, error) {
	var a api.Agent
	err := c.quick(http.MethodGet, "/v1/status", nil, &a)
	return a, err
}

// Status implements api.Service; where it cannot be had it is empty. See Fetch.
func (c *Client) Status() api.Agent {
	a, _ := c.Fetch()
	return a
}

// Flush implements api.Service. ctx's deadline is the other side's too, so that it says what is missing.
func (c *Client) Flush(ctx context.Context, sync string) ([]api.Flushed, error) {
	q := url.Values{"sync": {sync}}
	asking, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	if end, ok := ctx.Deadline(); ok {
		q.Set("timeout", max(time.Until(end), 0).String())
		late := time.AfterFunc(max(time.Until(end), 0)+lateAnswer, func() { cancel(context.DeadlineExceeded) })
		defer late.Stop()
	}
	defer context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			cancel(context.Cause(ctx))
		}
	})()
	var a flushed
	err := c.ask(asking, http.MethodPost, "/v1/flush", q, &a)
	var f *answered
	if errors.As(err, &f) {
		return f.failure.Flushed, f.failure.err()
	}
	if cause := context.Cause(asking); err != nil && cause != nil {
		err = cause
	}
	return a.Flushed, err
}

// lateAnswer is how long after a deadline the other side may still say what is missing.
const lateAnswer = 2 * time.Second

// Pause implements api.Service.
func (c *Client) Pause(sync string) error {
	return c.quick(http.MethodPost, "/v1/pause", url.Values{"sync": {sync}}, nil)
}

// Resume implements api.Service.
func (c *Client) Resume(sync string) error {
	return c.quick(http.MethodPost, "/v1/resume", url.Values{"sync": {sync}}, nil)
}

// Resync implements api.Service.
func (c *Client) Resync(sync, target, path string, checksum bool) error {
	q := url.Values{"sync": {sync}, "target": {target}, "path": {path}}
	if checksum {
		q.Set("checksum", "1")
	}
	return c.quick(http.MethodPost, "/v1/resync", q, nil)
}

// Release implements api.Service.
func (c *Client) Release(sync, target string) ([]api.Released, error) {
	var a released
	err := c.quick(http.MethodPost, "/v1/release", url.Values{"sync": {sync}, "target": {target}}, &a)
	var f *answered
	if errors.As(err, &f) {
		return f.failure.Released, f.failure.err()
	}
	return a.Released, err
}

// Queue implements api.Service.
func (c *Client) Queue(sync, target string, most int) ([]api.Queued, error) {
	var a queued
	err := c.quick(http.MethodGet, "/v1/queue", url.Values{"sync": {sync}, "target": {target}, "most": {strconv.Itoa(most)}}, &a)
	return a.Queue, err
}

// Reload implements api.Service.
func (c *Client) Reload(ctx context.Context) (api.Reloaded, error) {
	var a api.Reloaded
	err := c.ask(ctx, http.MethodPost, "/v1/reload", nil, &a)
	return a, err
}

// Stop implements api.Service; whether it was heard is not told. See RequestStop.
func (c *Client) Stop() { c.RequestStop() }

// RequestStop is Stop with its error.
func (c *Client) RequestStop() error { return c.quick(http.MethodPost, "/v1/stop", nil, nil) }

// LogLevel implements api.Service.
func (c *Client) LogLevel(component, level string) (map[string]string, error) {
	var a levels
	if level == "" {
		if err := c.quick(http.MethodGet, "/v1/log-level", nil, &a); err != nil {
			return nil, err
		}
		return a.Levels, nil
	}
	err := c.quick(http.MethodPost, "/v1/log-level", url.Values{"component": {component}, "level": {level}}, &a)
	return a.Levels, err
}

// Follow tells each the status now and whenever it changed, until ctx is done, which is no error, or the other side ends.
func (c *Client) Follow(ctx context.Context, each func(api.Agent)) error {
	body, err := c.open(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer body.Close()
	lines := bufio.NewReaderSize(body, 64<<10)
	for {
		line, err := readLine(lines)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return ErrNobody // it was there, and has ended
			}
			return fmt.Errorf("follow the running lockstep: %w", err)
		}
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		var a api.Agent
		if err := json.Unmarshal(data, &a); err != nil {
			return fmt.Errorf("%w: %w", ErrForeign, err)
		}
		each(a)
	}
}

// readLine reads a line of up to mostAnswer bytes.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > mostAnswer:
			return nil, fmt.Errorf("%w: a line is longer than %d bytes", ErrForeign, mostAnswer)
		}
	}
}

// quick asks what is answered at once.
func (c *Client) quick(method, path string, q url.Values, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	return c.ask(ctx, method, path, q, into)
}

// ask sends a question and reads the answer.
func (c *Client) ask(ctx context.Context, method, path string, q url.Values, into any) error {
	body, err := c.open(ctx, method, path, q)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(body, mostAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read the answer of the lockstep at %q: %w", c.path, err)
	}
	return nil
}

// answered is an error that the other side told, with what it told besides.
type answered struct {
	failure
}

func (a *answered) Error() string { return a.failure.Error }
func (a *answered) Unwrap() error { return a.err() }

// open sends a question; what it returns is the body of an answer that is no error.
func (c *Client) open(ctx context.Context, method, path string, q url.Values) (io.ReadCloser, error) {
	for name, list := range q {
		if len(list) == 1 && list[0] == "" {
			delete(q, name)
		}
	}
	u := url.URL{Scheme: "http", Host: "localhost", Path: path, RawQuery: q.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set(ActionHeader, "client")
	a, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if a.StatusCode < 300 {
		return a.Body, nil
	}
	defer a.Body.Close()
	var f failure
	if err := json.NewDecoder(io.LimitReader(a.Body, mostAnswer)).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("%w: it says %s to %s", ErrForeign, a.Status, path)
	}
	return nil, &answered{f}
}

// explain says what it means that there was no answer.
func (c *Client) explain(ctx context.Context, err error) error {
	var told *answered
	switch {
	case errors.As(err, &told), errors.Is(err, ErrForeign):
		return err
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		return ErrNobody
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%q may be used by root and the group of that socket alone: %w", c.path, os.ErrPermission)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the lockstep at %q does not answer: %w", c.path, context.DeadlineExceeded)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // its text has a URL that nobody typed
	}
	return fmt.Errorf("ask the lockstep at %q: %w", c.path, err)
}
