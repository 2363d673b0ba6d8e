package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
)

var (
	variable = regexp.MustCompile(`\$\{([^}]*)\}`)
	varName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// expand puts environment variables, written ${NAME}, into a text.
func (l *loader) expand(key string, n *node) (string, bool) {
	ok := true
	text := variable.ReplaceAllStringFunc(n.text, func(v string) string {
		name := v[2 : len(v)-1]
		if !varName.MatchString(name) {
			l.value(n, "%s: ${%s} names no environment variable: letters, digits and _", key, cut(name))
			ok = false
			return ""
		}
		value, set := l.env(name)
		if !set {
			l.value(n, "%s: the environment variable %s is not set", key, name)
			ok = false
		}
		return value
	})
	return text, ok
}

func cut(s string) string {
	q := quoted(s)
	return q[1 : len(q)-1]
}

// secret takes the password of an entry, which is in the file or in the environment.
func (l *loader) secret(e *entry, s *agent.Settings) bool {
	n := e.value
	if m := variable.FindStringSubmatch(n.text); m != nil && m[0] == n.text {
		value, ok := l.expand("password", n)
		if !ok {
			return false
		}
		if value == "" {
			l.value(n, "password: the environment variable %s is empty", m[1])
			return false
		}
		if !slices.Contains(l.secrets, m[1]) {
			l.secrets = append(l.secrets, m[1])
		}
		s.Password, s.HasPassword = value, true
		return true
	}
	switch {
	case n.text == "":
		l.value(n, "password: it is empty")
		return false
	case strings.ContainsAny(n.text, "\n\r"):
		l.value(n, "password: it is of several lines, which none is")
		return false
	}
	if !n.file.private() {
		w := fmt.Sprintf("%s:%d: a password stands in a file that others than its owner may read: chmod 600 it (owned by root, or by who runs lockstep), or use password-file or ${NAME}",
			Printable(n.file.name), n.line)
		if !slices.Contains(l.warnings, w) {
			l.warnings = append(l.warnings, w)
		}
	}
	s.Password, s.HasPassword = n.text, true
	return true
}
