package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

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
