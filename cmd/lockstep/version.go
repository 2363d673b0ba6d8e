package main

import "runtime/debug"

// release is the version that packages are built with (-ldflags -X): where they are built there may be no
// repository that go build could ask.
var release string

// version is what this program is a build of.
func version() string {
	if release != "" {
		return release
	}
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		return bi.Main.Version
	}
	return "(devel)"
}

func versionText() string { return "lockstep " + version() + ", rsync protocol versions 30 to 32" }
