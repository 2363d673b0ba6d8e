package syncertest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// validate refuses what rsyncd.conf cannot say or would say differently, so that a test never runs
// against another directory than it thinks.
func (c DaemonConfig) validate() error {
	var errs []error
	if c.ConfigFile != "" {
		if c.Modules != nil || c.Chroot || c.Extra != nil {
			errs = append(errs, fmt.Errorf("there is a config file %q, so modules, chroot and extra lines have no place", c.ConfigFile))
		}
		// The daemon's working directory is not ours.
		if !filepath.IsAbs(c.ConfigFile) {
			errs = append(errs, fmt.Errorf("config file %q is not absolute", c.ConfigFile))
		}
	}
	seen := map[string]bool{}
	for _, m := range c.Modules {
		if m.Name == "" || m.Name == "global" || m.Name != strings.TrimSpace(m.Name) || strings.ContainsAny(m.Name, "]/\n\r\x00\\") {
			errs = append(errs, fmt.Errorf("module name %q cannot be written in rsyncd.conf", m.Name))
		}
		if seen[m.Name] {
			errs = append(errs, fmt.Errorf("module name %q is used twice", m.Name))
		}
		seen[m.Name] = true
		if !filepath.IsAbs(m.Path) {
			errs = append(errs, fmt.Errorf("path %q of module %q is not absolute", m.Path, m.Name))
		}
		// A % starts the name of an environment variable, and a backslash at the end joins lines.
		if m.Path != strings.TrimSpace(m.Path) || strings.ContainsAny(m.Path, "%\n\r\x00\\") {
			errs = append(errs, fmt.Errorf("path %q of module %q cannot be written in rsyncd.conf", m.Path, m.Name))
		}
		errs = append(errs, m.validateSecrets()...)
		errs = append(errs, validateLines(m.Extra)...)
	}
	errs = append(errs, validateLines(c.Extra)...)
	return errors.Join(errs...)
}

func (m Module) validateSecrets() []error {
	var errs []error
	if strings.ContainsAny(m.AuthUsers, "\n\r\x00") {
		errs = append(errs, fmt.Errorf("auth users %q of module %q has a line end", m.AuthUsers, m.Name))
	}
	for user, password := range m.Secrets {
		if user == "" || strings.HasPrefix(user, "#") || strings.ContainsAny(user, ": \n\r\x00") || strings.ContainsAny(password, "\n\r\x00") {
			errs = append(errs, fmt.Errorf("secret of user %q of module %q cannot be written in a secrets file", user, m.Name))
		}
	}
	return errs
}

func validateLines(lines []string) []error {
	var errs []error
	for _, line := range lines {
		if strings.ContainsAny(line, "\n\r\x00") || strings.HasPrefix(strings.TrimSpace(line), "[") {
			errs = append(errs, fmt.Errorf("extra line %q is not one setting", line))
		}
	}
	return errs
}

// write makes rsyncd.conf and the secrets files in dir.
func (c DaemonConfig) write(dir string) error {
	if c.ConfigFile != "" {
		return nil
	}
	for i, m := range c.Modules {
		if m.Secrets == nil {
			continue
		}
		if err := os.WriteFile(secretsFile(dir, i), m.secrets(), 0o600); err != nil {
			return fmt.Errorf("write secrets of module %q: %w", m.Name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "rsyncd.conf"), c.text(dir), 0o600); err != nil {
		return fmt.Errorf("write rsyncd.conf: %w", err)
	}
	return nil
}

func secretsFile(dir string, module int) string {
	return filepath.Join(dir, fmt.Sprintf("secrets.%d", module))
}

func (m Module) secrets() []byte {
	var text []byte
	for _, user := range slices.Sorted(maps.Keys(m.Secrets)) {
		text = fmt.Appendf(text, "%s:%s\n", user, m.Secrets[user])
	}
	return text
}

func (c DaemonConfig) text(dir string) []byte {
	// The default lock file is one for the whole machine; "max connections" counts with it.
	text := fmt.Appendf(nil, "lock file = %s\nreverse lookup = no\n", filepath.Join(dir, "lock"))
	// Munging would store every symlink under another target.
	text = fmt.Appendf(text, "use chroot = %s\nmunge symlinks = no\n", yesNo(c.Chroot))
	if os.Geteuid() == 0 {
		text = append(text, "uid = root\ngid = root\n"...)
	}
	text = appendLines(text, c.Extra)
	for i, m := range c.Modules {
		text = fmt.Appendf(text, "\n[%s]\npath = %s\nread only = %s\n", m.Name, m.Path, yesNo(m.ReadOnly))
		if m.AuthUsers != "" {
			text = fmt.Appendf(text, "auth users = %s\n", m.AuthUsers)
		}
		if m.Secrets != nil {
			text = fmt.Appendf(text, "secrets file = %s\n", secretsFile(dir, i))
		}
		text = appendLines(text, m.Extra)
	}
	return text
}

func appendLines(text []byte, lines []string) []byte {
	for _, line := range lines {
		text = append(append(text, line...), '\n')
	}
	return text
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
