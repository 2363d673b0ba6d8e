package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

const examples = "../../../examples/"

// TestRules has promtool check the alert rules, and run their own tests.
func TestRules(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed (.ci/deps)")
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"check", "rules", "lockstep.rules.yml"}, {"test", "rules", "lockstep.rules.test.yml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = examples + "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}

// TestRulesComplete has each alert say what happened and what to do, and be tested.
func TestRulesComplete(t *testing.T) {
	rules, tests := read(t, "prometheus/lockstep.rules.yml"), read(t, "prometheus/lockstep.rules.test.yml")
	alerts := strings.Split(rules, "- alert: ")[1:]
	if len(alerts) < 7 {
		t.Errorf("there are %d alerts", len(alerts))
	}
	for _, a := range alerts {
		name, _, _ := strings.Cut(a, "\n")
		for _, part := range []string{"summary: ", "remedy: ", "severity: ", "for: "} {
			if strings.Count(a, part) != 1 {
				t.Errorf("%s: no %s", name, part)
			}
		}
		if !strings.Contains(tests, "alertname: "+name+"\n") {
			t.Errorf("%s: no test has it come", name)
		}
	}
}

// TestNamesExist has each metric that the rules and the dashboard name be one that is scraped, with the labels that they ask for.
func TestNamesExist(t *testing.T) {
	m := New(&source{agent: full()})
	m.Pushed(api.Push{Sync: "www", Target: "b::www", Took: time.Second, Lag: time.Second})
	text := scrape(t, m)
	labels := map[string][]string{}
	for line := range strings.Lines(text) {
		if s := sample.FindStringSubmatch(line); s != nil {
			for _, l := range label.FindAllStringSubmatch(s[2], -1) {
				labels[s[1]] = append(labels[s[1]], l[1])
			}
			labels[s[1]] = append(labels[s[1]], "job", "instance") // Prometheus adds them
		}
	}
	dashboard := read(t, "grafana/lockstep.json")
	var parsed struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(dashboard), &parsed); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, p := range parsed.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			asked = append(asked, target.Expr)
		}
	}
	for line := range strings.Lines(read(t, "prometheus/lockstep.rules.yml")) {
		if expr, ok := strings.CutPrefix(strings.TrimSpace(line), "expr: "); ok {
			asked = append(asked, expr)
		}
	}
	named := 0
	for _, expr := range asked {
		for _, use := range use.FindAllStringSubmatch(expr, -1) {
			named++
			has, ok := labels[use[1]]
			if !ok {
				t.Errorf("there is no %s: %s", use[1], expr)
			}
			for _, l := range matcher.FindAllStringSubmatch(use[2], -1) {
				if !slices.Contains(has, l[1]) {
					t.Errorf("%s has no label %s: %s", use[1], l[1], expr)
				}
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d metrics are named: are they found?", named)
	}
}

var (
	sample  = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? \S+\n$`)
	label   = regexp.MustCompile(`([a-z_]+)="`)
	use     = regexp.MustCompile(`((?:lockstep|process|go)_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
)

// TestDocumented has docs/monitoring.md name each of our families.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(scrape(t, New(&source{agent: full()}))) {
		if name, ok := strings.CutPrefix(line, "# TYPE lockstep_"); ok {
			name, _, _ = strings.Cut(name, " ")
			if !strings.Contains(string(doc), "`"+name) {
				t.Errorf("docs/monitoring.md does not tell of %s", name)
			}
		}
	}
	for _, name := range []string{"push_duration_seconds", "arrival_seconds"} {
		if !strings.Contains(string(doc), "`"+name) {
			t.Errorf("docs/monitoring.md does not tell of %s", name)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(examples + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
