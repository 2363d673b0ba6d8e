package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTorn(t *testing.T) {
	const size = 64 << 10
	whole, next := version(3, 7, size), version(3, 8, size/2)
	if err := torn(3, whole); err != nil {
		t.Errorf("a whole version: %v", err)
	}
	if err := torn(3, version(3, 1, 1)); err != nil {
		t.Errorf("the smallest version: %v", err)
	}
	mixed := append(append([]byte{}, next[:size/4]...), whole[size/4:]...)
	late := append([]byte{}, whole...)
	copy(late[len(late)-blockSize:], next)
	for name, content := range map[string][]byte{
		"empty":              nil,
		"cut":                whole[:size-1],
		"cut at a block":     whole[:size-blockSize],
		"grown":              append(append([]byte{}, whole...), whole[:blockSize]...),
		"of two versions":    mixed,
		"its last block":     late,
		"another file":       version(2, 7, size),
		"with a hole":        append(append(append([]byte{}, whole[:4096]...), make([]byte, 4096)...), whole[8192:]...),
		"its blocks in turn": append(append([]byte{}, whole[blockSize:]...), whole[:blockSize]...),
	} {
		if torn(3, content) == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

// The two that poll a target see what they are there for.
func TestWatchesFind(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := makePins(root); err != nil {
		t.Fatal(err)
	}
	if _, err := newVersionWriter(root, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan string, 100)
	pins := &pinWatch{replica: dir, fail: func(s string) { told <- s }}
	versions := &versionWatch{replica: dir, fail: func(s string) { told <- s }}
	done := make(chan struct{}, 2)
	go func() { pins.run(ctx); done <- struct{}{} }()
	go func() { versions.run(ctx); done <- struct{}{} }()
	await(t, func() bool { return pins.checks.Load() > 0 && versions.reads.Load() > 10 })
	if len(told) > 0 {
		t.Fatalf("nothing is wrong, but: %s", <-told)
	}
	if err := root.Remove("pins/a/b/c/d/pin.0"); err != nil {
		t.Fatal(err)
	}
	if s := <-told; !strings.Contains(s, "pins/a/b/c/d/pin.0") {
		t.Errorf("told of %s", s)
	}
	if err := os.Truncate(filepath.Join(dir, versionPath(2)), 4096); err != nil {
		t.Fatal(err)
	}
	if s := <-told; !strings.Contains(s, versionPath(2)) || !strings.Contains(s, "torn") {
		t.Errorf("told of %s", s)
	}
	cancel()
	<-done
	<-done
}

func TestParseStat(t *testing.T) {
	p, ok := parseStat([]byte("17 (a) b (c) Z 4 16 16 0 -1"))
	if want := (process{17, 4, 16, 'Z'}); !ok || p != want {
		t.Errorf("%+v, %v", p, ok)
	}
	for _, text := range []string{"", "17 (a", "17 (a) Z", "x (a) Z 4 16", "17 (a) Z y 16"} {
		if p, ok := parseStat([]byte(text)); ok {
			t.Errorf("%q is %+v", text, p)
		}
	}
}

func TestUsage(t *testing.T) {
	before, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	after, err := usageOf(os.Getpid())
	if err != nil || after.Descriptors < before.Descriptors+2 || after.Threads == 0 || after.RSS == 0 {
		t.Errorf("%+v, then %+v: %v", before, after, err)
	}
}

func TestCrash(t *testing.T) {
	quiet := "2026-11-28T08:26:20.000Z  WARN  pushed\n2026-11-28T08:26:20.000Z  INFO  pushed  {\"path\": \"panic\"}\n"
	if text := crash(quiet); text != "" {
		t.Errorf("nothing crashed, but: %s", text)
	}
	for _, bad := range []string{"panic: oh\n", "fatal error: all goroutines\n", "==================\nWARNING: DATA RACE\n", "SIGQUIT\n\ngoroutine 1 [running]:\n"} {
		if crash(quiet+bad) == "" {
			t.Errorf("%q was not found", bad)
		}
	}
	if n := troubles(quiet); n != 1 {
		t.Errorf("%d troubles", n)
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{{"-faults", "earthquake"}, {"-targets", "ftp"}, {"-targets", ""}, {"-seed", "x"}, {"kill"}} {
		if code := chaos(args, io.Discard, io.Discard); code != codeSetup {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
	o, err := parse([]string{"-faults", "kill,link", "-seed", "7", "-options", "-v --bwlimit=9"}, io.Discard)
	if err != nil || len(o.Faults) != 2 || o.first != 7 || len(o.Options) != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}
