package main

import "testing"

func TestWorkDir(t *testing.T) {
	short, full := shortSizes(), fullSizes()
	if got := workDir("/srv", short); got != "/srv" {
		t.Errorf("with -dir /srv: %q", got)
	}
	if got := workDir("", full); got != "" {
		t.Errorf("of a full run: %q", got)
	}
	short.needDisk = 1 << 62
	if got := workDir("", short); got != "" {
		t.Errorf("of a short run that fits nowhere: %q", got)
	}
}

func TestStatfs(t *testing.T) {
	fs, err := statfs(t.TempDir())
	if err != nil || fs.free <= 0 || fs.name == "" {
		t.Errorf("statfs = %+v, %v", fs, err)
	}
	if _, err := statfs("./there-is-none"); err == nil {
		t.Error("statfs of no directory gives no error")
	}
}
