package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAskStatus asks through a path that is longer than an address of unix(7) may be.
func TestAskStatus(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/control.sock", open.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	answer := `{"pid": 1, "syncs": [{"name": "a", "targets": [{"state": "in-step", "goroutines": 17, "paths": 3}]}]}`
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodGet || q.URL.Path != "/v1/status" {
			http.NotFound(w, q)
			return
		}
		fmt.Fprint(w, answer)
	})}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	defer func() { server.Close(); <-done }()

	socket := filepath.Join(dir, "control.sock")
	want := controlStatus{State: stateInStep, Goroutines: 17}
	if got, err := askStatus(t.Context(), socket); err != nil || got != want {
		t.Errorf("askStatus = %+v, %v, want %+v", got, err, want)
	}
	answer = `{"syncs": []}`
	if got, err := askStatus(t.Context(), socket); err == nil {
		t.Errorf("askStatus without a target = %+v, want an error", got)
	}
	answer = "nothing"
	if got, err := askStatus(t.Context(), socket); err == nil {
		t.Errorf("askStatus of what is no JSON = %+v, want an error", got)
	}
	if got, err := askStatus(t.Context(), filepath.Join(dir, "other.sock")); err == nil {
		t.Errorf("askStatus of no socket = %+v, want an error", got)
	}
	w := watching{ctx: t.Context(), state: t.TempDir()}
	if _, err := w.status(); err == nil || !strings.Contains(err.Error(), "no control socket") {
		t.Errorf("status without a pair: %v", err)
	}
}
