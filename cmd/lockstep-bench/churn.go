package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
)

// churn is for pace: each call changes the tree somewhere, and all keep its size, for names go and come back.
func churn(t tree, seed uint64) func(int) error {
	rng := rand.New(rand.NewPCG(5, seed))
	return func(int) error {
		name := t.file(rng.IntN(t.spec.Files))
		path := filepath.Join(t.dir, name)
		switch rng.IntN(20) {
		case 0, 1: // as an editor saves
			if _, err := rewrite(t.dir, name+"~"); err != nil {
				return err
			}
			return os.Rename(path+"~", path)
		case 2, 3:
			if err := os.Remove(path); err != nil {
				return err
			}
		case 4: // moves, each seen as two names
			if err := os.Rename(path, path+".old"); err != nil {
				return err
			}
			return os.Rename(path+".old", path)
		case 5:
			dir := filepath.Dir(path)
			if err := os.Rename(dir, dir+".old"); err != nil {
				return err
			}
			return os.Rename(dir+".old", dir)
		case 6:
			return os.Chmod(path, 0o600|os.FileMode(rng.IntN(8))<<3)
		case 7: // a directory that comes and goes
			dir := filepath.Join(filepath.Dir(path), "new")
			if err := os.MkdirAll(filepath.Join(dir, "inner"), 0o755); err != nil {
				return err
			}
			return os.RemoveAll(dir)
		}
		_, err := rewrite(t.dir, name)
		return err
	}
}
