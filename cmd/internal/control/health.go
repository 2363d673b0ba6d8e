package control

import (
	"fmt"
	"net/http"
	"strings"
)

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
