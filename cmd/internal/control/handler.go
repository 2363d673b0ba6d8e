package control

import (
	"fmt"
	"log"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
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
