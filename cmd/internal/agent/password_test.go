package agent

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPasswordFile: who may read it, and what is said of one that cannot be used.
func TestPasswordFile(t *testing.T) {
	dir := t.TempDir()
	for mode, ok := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o640: true, 0o660: true, 0o601: true, // as rsync: the group is trusted, "x" is nothing
		0o604: false, 0o602: false, 0o644: false, 0o666: false,
	} {
		name := filepath.Join(dir, mode.String())
		must(t, os.WriteFile(name, []byte("secret\n"), 0o600))
		must(t, os.Chmod(name, mode))
		s := Settings{PasswordFile: name, Watch: true}
		err := s.CheckPasswordFile()
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "must not be accessible by others: chmod 600 it") {
			t.Errorf("%v: %v", mode, err)
		}
		if password, err := s.password(); (err == nil) != ok || ok && password != "secret" {
			t.Errorf("%v: password %q, %v", mode, password, err)
		}
	}
	s := Settings{PasswordFile: filepath.Join(dir, "none")}
	if err := s.CheckPasswordFile(); err == nil || !strings.HasSuffix(err.Error(), `/none": no such file or directory`) ||
		strings.Contains(err.Error(), "open ") {
		t.Errorf("a missing file: %v", err)
	}
	if os.Geteuid() == 0 {
		name := filepath.Join(dir, "other's")
		must(t, os.WriteFile(name, []byte("secret\n"), 0o600))
		must(t, os.Chown(name, 1, 1))
		s := Settings{PasswordFile: name}
		if err := s.CheckPasswordFile(); err == nil || !strings.Contains(err.Error(), "must be owned by root") {
			t.Errorf("somebody else's file, as root: %v", err)
		}
	}
}

// TestPasswordSource: the file wins, and is read each time; in --watch nobody is asked.
func TestPasswordSource(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, []byte("first"), 0o600))
	s := Settings{PasswordFile: name, Password: "environment", HasPassword: true, Watch: true}
	for _, want := range []string{"first", "second"} {
		must(t, os.WriteFile(name, []byte(want+"\nnot this"), 0o600))
		if got, err := s.password(); err != nil || got != want {
			t.Errorf("file: %q, %v, want %q", got, err, want)
		}
	}
	s.PasswordFile = ""
	if got, err := s.password(); err != nil || got != "environment" {
		t.Errorf("RSYNC_PASSWORD: %q, %v", got, err)
	}
	s.Password = "" // set, to nothing
	if got, err := s.password(); err != nil || got != "" {
		t.Errorf("empty RSYNC_PASSWORD: %q, %v", got, err)
	}
	s.HasPassword = false
	if got, err := s.password(); err == nil {
		t.Errorf("from nowhere: %q", got)
	}
}

func TestFirstLine(t *testing.T) {
	for text, want := range map[string]string{
		"secret":                         "secret",
		"secret\n":                       "secret",
		"secret\r\n":                     "secret",
		" two words \nmore":              " two words ",
		"\xff\xfe\n":                     "\xff\xfe",
		"":                               "",
		"\nsecond":                       "",
		"\r\n":                           "",
		"nu\x00l\n":                      "",
		strings.Repeat("x", 4096) + "\n": "",
		strings.Repeat("x", 4095) + "\n": strings.Repeat("x", 4095),
	} {
		got, err := firstLine(strings.NewReader(text), "the file")
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), `"the file"`) {
			t.Errorf("%q: %v does not name the file", text, err)
		}
	}
	// What is no password file does not fill the memory.
	got, err := firstLine(strings.NewReader(strings.Repeat("x", 1<<20)), "the file")
	if err == nil {
		t.Errorf("a password of %d bytes", len(got))
	}
}
