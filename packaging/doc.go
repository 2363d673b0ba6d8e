// Package packaging makes the .deb and the .rpm: make deb rpm.
//
//   - build compiles, makes the pages and the completions, and calls nfpm; version says which version that is
//   - nfpm.yaml says what is in the packages, lockstep.yaml is the config they install, scripts is what they run
//   - man and completions are generators: their input is what lockstep --help prints, and docs/config.md
//
// There is no code here but the tests: they build packages twice and compare, install them into a root directory of
// its own, use what is there as somebody would who has just installed it, upgrade, remove and purge.
package packaging
