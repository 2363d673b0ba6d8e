package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

var (
	errRequest = errors.New("bad request")
	errBusy    = errors.New("too many at once")
)

// failure is how an error travels. Flushed and Released are what was brought about all the same.
type failure struct {
	Error    string         `json:"error"`
	Code     string         `json:"code"`
	Flushed  []api.Flushed  `json:"flushed,omitempty"`
	Released []api.Released `json:"released,omitempty"`
}

// kinds are the errors that a client can tell apart: their code in JSON, the status of HTTP. The first that matches counts.
var kinds = []struct {
	code   string
	status int
	is     error
}{
	{"unknown", http.StatusNotFound, api.ErrUnknown},
	{"paused", http.StatusConflict, api.ErrPaused},
	{"settings", http.StatusUnprocessableEntity, api.ErrSettings},
	{"timeout", http.StatusGatewayTimeout, context.DeadlineExceeded},
	{"stopping", http.StatusServiceUnavailable, context.Canceled},
	{"not-there", http.StatusConflict, api.ErrNotThere},
	{"unsupported", http.StatusNotImplemented, errors.ErrUnsupported},
	{"request", http.StatusBadRequest, errRequest},
	{"busy", http.StatusServiceUnavailable, errBusy},
}

// internal is the code of an error that a client can do nothing about.
const internal = "internal"

func describe(err error) (failure, int) {
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return failure{Error: err.Error(), Code: k.code}, k.status
		}
	}
	return failure{Error: err.Error(), Code: internal}, http.StatusInternalServerError
}

// remoteError is what the other side said, and which error of ours it is.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

// err is what describe was given, as far as it can be told.
func (f *failure) err() error {
	for _, k := range kinds {
		if k.code == f.Code {
			return &remoteError{f.Error, k.is}
		}
	}
	return errors.New(f.Error)
}

// answer sends v. It is put together before its first byte leaves: a slow reader holds nothing up.
func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		b, status = []byte(`{"error":"the answer cannot be written as JSON","code":"internal"}`), http.StatusInternalServerError
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

func refuse(w http.ResponseWriter, err error) {
	f, status := describe(err)
	answer(w, status, f)
}

// parameters are those of a query: each at most once, and none that nobody asked for.
func parameters(q *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(q.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRequest, err)
	}
	for name, list := range values {
		switch {
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("%w: %s has no parameter %q; it has: %s", errRequest, q.URL.Path, name, cmp.Or(strings.Join(known, ", "), "none"))
		case len(list) > 1:
			return nil, fmt.Errorf("%w: parameter %q is given %d times", errRequest, name, len(list))
		}
	}
	return values, nil
}
