package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// controlStatus is the part of lockstep's answer to "GET /v1/status" that is used here (cmd/internal/api, Target).
type controlStatus struct {
	State      string `json:"state"`
	Goroutines int    `json:"goroutines"`
}

const (
	stateInStep  = "in-step"
	controlLimit = 30 * time.Second // for an answer, on a machine that is very busy
)

// status asks a running lockstep for the first of its targets.
func (w *watching) status() (controlStatus, error) {
	pairs, err := os.ReadDir(w.state)
	if err != nil {
		return controlStatus{}, err
	}
	for _, p := range pairs {
		socket := filepath.Join(w.state, p.Name(), "control.sock")
		if _, err := os.Lstat(socket); err == nil {
			return askStatus(w.ctx, socket)
		}
	}
	return controlStatus{}, fmt.Errorf("there is no control socket below %q", w.state)
}

// askStatus speaks HTTP over the socket. Its path may be too long for an address (unix(7)): it is reached
// through its directory.
func askStatus(ctx context.Context, socket string) (s controlStatus, err error) {
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return s, err
	}
	defer dir.Close()
	short := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(socket))
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", short)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: controlLimit}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/v1/status", nil)
	if err != nil {
		return s, err
	}
	a, err := client.Do(q)
	if err != nil {
		return s, fmt.Errorf("ask %q: %w", socket, err)
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return s, fmt.Errorf("ask %q: %s", socket, a.Status)
	}
	var all struct {
		Syncs []struct{ Targets []controlStatus }
	}
	if err := json.NewDecoder(a.Body).Decode(&all); err != nil {
		return s, fmt.Errorf("read what %q answers: %w", socket, err)
	}
	if len(all.Syncs) == 0 || len(all.Syncs[0].Targets) == 0 {
		return s, fmt.Errorf("%q tells of no target", socket)
	}
	return all.Syncs[0].Targets[0], nil
}
