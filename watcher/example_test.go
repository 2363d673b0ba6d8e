package watcher_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/lockstep-sync/lockstep/watcher"
)

// A directory that is filled faster than anybody can watch it loses nothing: its name covers what is
// in it, or each name is told.
func Example() {
	root, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)
	w, err := watcher.New(watcher.Config{Root: root})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err = w.Run(ctx, func(changes []watcher.Change) {
		for _, c := range changes {
			switch {
			case c.Path == "." && c.Tree: // all is watched: look at everything once
				fmt.Println("ready")
				deep := filepath.Join(root, "a/b/c")
				if err := os.MkdirAll(deep, 0o755); err != nil {
					log.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(deep, "file"), nil, 0o644); err != nil {
					log.Fatal(err)
				}
			case c.Path == "a" && c.Tree: // look at a, and at all below it
				fmt.Println("a, or something in it, changed")
				cancel()
			}
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// ready
	// a, or something in it, changed
}

// OnEvent hands on what inotify says, with what it never says of new directories filled in.
func ExampleConfig_onEvent() {
	root, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen := make(map[string]bool)
	w, err := watcher.New(watcher.Config{
		Root: root,
		OnEvent: func(events []watcher.Event) {
			for _, e := range events {
				if e.Op == watcher.OpCreate && !seen[e.Path] {
					seen[e.Path] = true
					fmt.Println(e.Op, e.Path)
				}
				if e.Path == "a/b/file" {
					cancel()
				}
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ready := false
	err = w.Run(ctx, func([]watcher.Change) {
		if ready {
			return
		}
		ready = true
		if err := os.MkdirAll(filepath.Join(root, "a/b"), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "a/b/file"), nil, 0o644); err != nil {
			log.Fatal(err)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// CREATE a
	// CREATE a/b
	// CREATE a/b/file
}
