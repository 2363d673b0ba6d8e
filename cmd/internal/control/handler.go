package control

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// Handler is all that can be asked of s, by whoever can connect: it is for a socket whose mode says who that is.
// metrics serves /metrics; nil: there are none.
func Handler(s api.Service, metrics http.Handler) http.Handler {
	h := &handler{s: s, events: newEvents(s.Status), flushes: make(chan struct{}, mostFlushes)}
	h.routes = map[string]route{
		"/":             {http.MethodGet: servePage},
		"/v1/status":    {http.MethodGet: h.status},
		"/v1/events":    {http.MethodGet: h.events.serve},
		"/v1/queue":     {http.MethodGet: h.queue},
		"/v1/flush":     {http.MethodPost: h.flush},
		"/v1/pause":     {http.MethodPost: h.pause},
		"/v1/resume":    {http.MethodPost: h.resume},
		"/v1/resync":    {http.MethodPost: h.resync},
		"/v1/release":   {http.MethodPost: h.release},
		"/v1/reload":    {http.MethodPost: h.reload},
		"/v1/stop":      {http.MethodPost: h.stop},
		"/v1/log-level": {http.MethodGet: h.logLevel, http.MethodPost: h.logLevel},
		"/healthz":      {http.MethodGet: h.healthz},
		"/readyz":       {http.MethodGet: h.readyz},
	}
	if metrics != nil {
		h.routes["/metrics"] = route{http.MethodGet: metrics.ServeHTTP}
	}
	return h
}

// route is what a path does, by method.
type route map[string]http.HandlerFunc

type handler struct {
	s       api.Service
	events  *events
	routes  map[string]route
	flushes chan struct{} // holds one for each that goes on
}

// mostFlushes bounds how many barriers wait at once: each is something in every queue.
const mostFlushes = 64

func (h *handler) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	defer survive(w, q)
	secure(w.Header())
	do, status := h.find(q)
	switch status {
	case http.StatusOK:
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(h.routes[q.URL.Path])), ", "))
		answer(w, status, failure{Error: fmt.Sprintf("%s takes no %.20q", q.URL.Path, q.Method), Code: "request"})
		return
	default:
		answer(w, status, failure{Error: fmt.Sprintf("there is nothing at %.100q", q.URL.EscapedPath()), Code: "request"})
		return
	}
	if q.ContentLength != 0 {
		answer(w, http.StatusRequestEntityTooLarge, failure{Error: "parameters belong into the query: there may be no body", Code: "request"})
		return
	}
	do(w, q)
}

// find compares a path as it was written: what has another spelling, by escapes or dots or slashes, is another path.
func (h *handler) find(q *http.Request) (http.HandlerFunc, int) {
	r, ok := h.routes[q.URL.Path]
	if !ok || q.URL.EscapedPath() != q.URL.Path {
		return nil, http.StatusNotFound
	}
	method := q.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	do, ok := r[method]
	if !ok || q.Method == http.MethodHead && q.URL.Path == "/v1/events" {
		return nil, http.StatusMethodNotAllowed
	}
	return do, http.StatusOK
}

// survive keeps a handler's panic from ending more than its answer.
func survive(w http.ResponseWriter, q *http.Request) {
	r := recover()
	switch {
	case r == nil:
		return
	case r == http.ErrAbortHandler:
		panic(r)
	}
	log.Printf("a bug: %s %s: panic: %v\n%s", q.Method, q.URL.Path, r, debug.Stack())
	answer(w, http.StatusInternalServerError, failure{Error: "a bug in lockstep; its log has more", Code: internal})
}

func (h *handler) status(w http.ResponseWriter, q *http.Request) {
	if _, err := parameters(q); err != nil {
		refuse(w, err)
		return
	}
	a := h.s.Status()
	a.Now = time.Now()
	answer(w, http.StatusOK, a)
}

// lasting lets an answer take as long as it takes.
func lasting(w http.ResponseWriter) {
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Time{}) // else the context of the request ends with it
	c.SetWriteDeadline(time.Time{})
}

// flushed is the answer to a flush.
type flushed struct {
	Flushed []api.Flushed `json:"flushed"`
}

func (h *handler) flush(w http.ResponseWriter, q *http.Request) {
	p, err := parameters(q, "sync", "timeout")
	if err != nil {
		refuse(w, err)
		return
	}
	ctx := q.Context()
	if t := p.Get("timeout"); t != "" {
		d, err := time.ParseDuration(t)
		if err != nil || d < 0 {
			refuse(w, fmt.Errorf("%w: timeout=%q is no time, as 30s", errRequest, t))
			return
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	select {
	case h.flushes <- struct{}{}:
		defer func() { <-h.flushes }()
	default:
		refuse(w, fmt.Errorf("%w: %d flushes wait already", errBusy, mostFlushes))
		return
	}
	lasting(w)
	list, err := h.s.Flush(ctx, p.Get("sync"))
	if err != nil {
		f, status := describe(err)
		f.Flushed = list
		answer(w, status, f)
		return
	}
	answer(w, http.StatusOK, flushed{orEmpty(list)})
}

// act answers with what do brings about, or with 204 and nothing.
func act(w http.ResponseWriter, q *http.Request, known []string, do func(get func(string) string) (any, error)) {
	p, err := parameters(q, known...)
	if err != nil {
		refuse(w, err)
		return
	}
	lasting(w)
	v, err := do(p.Get)
	switch {
	case err != nil:
		refuse(w, err)
	case v == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(w, http.StatusOK, v)
	}
}

func (h *handler) pause(w http.ResponseWriter, q *http.Request) {
	act(w, q, []string{"sync"}, func(get func(string) string) (any, error) { return nil, h.s.Pause(get("sync")) })
}

func (h *handler) resume(w http.ResponseWriter, q *http.Request) {
	act(w, q, []string{"sync"}, func(get func(string) string) (any, error) { return nil, h.s.Resume(get("sync")) })
}

func (h *handler) resync(w http.ResponseWriter, q *http.Request) {
	act(w, q, []string{"sync", "target", "path", "checksum"}, func(get func(string) string) (any, error) {
		sum := get("checksum")
		if sum != "" && sum != "0" && sum != "1" {
			return nil, fmt.Errorf("%w: checksum=%q is neither 0 nor 1", errRequest, sum)
		}
		if err := checkPath(get("path")); err != nil {
			return nil, err
		}
		return nil, h.s.Resync(get("sync"), get("target"), get("path"), sum == "1")
	})
}

func (h *handler) release(w http.ResponseWriter, q *http.Request) {
	p, err := parameters(q, "sync", "target")
	if err != nil {
		refuse(w, err)
		return
	}
	lasting(w)
	list, err := h.s.Release(p.Get("sync"), p.Get("target"))
	if err != nil {
		f, status := describe(err)
		f.Released = list
		answer(w, status, f)
		return
	}
	answer(w, http.StatusOK, released{orEmpty(list)})
}

// released is the answer to a release.
type released struct {
	Released []api.Released `json:"released"`
}

// queued is the answer to a question for the queue.
type queued struct {
	Queue []api.Queued `json:"queue"`
}

func (h *handler) queue(w http.ResponseWriter, q *http.Request) {
	act(w, q, []string{"sync", "target", "most"}, func(get func(string) string) (any, error) {
		most, err := parseMost(get("most"))
		if err != nil {
			return nil, err
		}
		list, err := h.s.Queue(get("sync"), get("target"), most)
		return queued{orEmpty(list)}, err
	})
}

func (h *handler) reload(w http.ResponseWriter, q *http.Request) {
	act(w, q, nil, func(func(string) string) (any, error) { return h.s.Reload(q.Context()) })
}

func (h *handler) stop(w http.ResponseWriter, q *http.Request) {
	act(w, q, nil, func(func(string) string) (any, error) { h.s.Stop(); return nil, nil })
}

// levels is the answer to a question for log levels.
type levels struct {
	Levels map[string]string `json:"levels"`
}

func (h *handler) logLevel(w http.ResponseWriter, q *http.Request) {
	known := []string{"component", "level"}
	if q.Method != http.MethodPost {
		known = nil
	}
	act(w, q, known, func(get func(string) string) (any, error) {
		if q.Method == http.MethodPost && get("level") == "" {
			return nil, fmt.Errorf("%w: a level is needed: debug, info, warn or error", errRequest)
		}
		now, err := h.s.LogLevel(get("component"), get("level"))
		return levels{now}, err
	})
}

// alive is what a service may know of itself: that its loops go round.
type alive interface{ Alive() bool }

func (h *handler) healthz(w http.ResponseWriter, _ *http.Request) {
	if a, ok := h.s.(alive); ok && !a.Alive() {
		text(w, http.StatusServiceUnavailable, "watching or pushing makes no progress; the log may say why, a restart loses nothing")
		return
	}
	text(w, http.StatusOK, "ok")
}

func (h *handler) readyz(w http.ResponseWriter, _ *http.Request) {
	now := h.s.Status()
	if now.Ready {
		text(w, http.StatusOK, "ready")
		return
	}
	var waiting []string
	for _, s := range now.Syncs {
		if !s.Watch.Ready && s.Error == "" {
			waiting = append(waiting, fmt.Sprintf("sync %q does not watch all of %q yet", s.Name, s.Source))
		}
	}
	if len(waiting) == 0 {
		waiting = []string{"it is starting"}
	}
	text(w, http.StatusServiceUnavailable, strings.Join(waiting, "\n"))
}

func text(w http.ResponseWriter, status int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, s)
}

// orEmpty makes a list of none, which is not null in JSON.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// defaultMost and mostQueued are how many paths of each target a queue tells.
const (
	defaultMost = 100
	mostQueued  = 10000
)

func parseMost(s string) (int, error) {
	if s == "" {
		return defaultMost, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > mostQueued {
		return 0, fmt.Errorf("%w: most=%q is no number from 1 to %d", errRequest, s, mostQueued)
	}
	return n, nil
}

var errPath = errors.New("a path is below the source, without .. and slashes at its ends, as img/2024")

// checkPath lets through what names something below a source, in one spelling.
func checkPath(p string) error {
	if p == "" || p == "." {
		return nil
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%w: path=%.200q: %w", errRequest, p, errPath)
		}
	}
	if strings.ContainsRune(p, 0) {
		return fmt.Errorf("%w: path=%.200q holds a NUL", errRequest, p)
	}
	return nil
}
