//go:build race

package main

// underRace says that the test binary, which is the lockstep of the tests, is several times slower.
const underRace = true
