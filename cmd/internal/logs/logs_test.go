package logs

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(streamEnv); socket != "" {
		logToStream(socket)
		return
	}
	goleak.VerifyTestMain(m)
}

func mustNew(t *testing.T, o Options) *Logs {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestFormats: lines and levels.
func TestFormats(t *testing.T) {
	for name, test := range map[string]struct {
		o          Options
		want, lack string
	}{
		"console": {Options{Format: Console}, "INFO  said", "whispered"},
		"json":    {Options{Level: "debug", Format: JSON}, `"level":"debug"`, "INFO"},
		"default": {Options{}, "INFO  said", "whispered"},
		"errors":  {Options{Level: "error"}, "ERROR  shouted", "WARN"},
	} {
		var out strings.Builder
		test.o.Stderr = &out
		log := mustNew(t, test.o).Logger()
		log.Debug("whispered")
		log.Info("said")
		log.Warn("warned")
		log.Error("shouted")
		if got := out.String(); !strings.Contains(got, test.want) || strings.Contains(got, test.lack) {
			t.Errorf("%s: %q lacks %q or has %q", name, got, test.want, test.lack)
		}
	}
	for _, o := range []Options{{Level: "loud"}, {Format: "xml"}} {
		if l, err := New(o); err == nil {
			l.Close()
			t.Errorf("%+v is taken", o)
		}
	}
}
