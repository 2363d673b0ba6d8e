package syncer_test

import (
	"testing"

	"github.com/lockstep-sync/lockstep/syncer"
)

// What a rule protects in a directory on the target keeps it from making way for a file, in a push of
// that name alone as in a full one.
func TestInteropProtectedDoesNotMakeWay(t *testing.T) {
	for _, rule := range []string{"- keep*", "dir-merge .rules"} {
		for name, batch := range map[string]syncer.Batch{"full": syncer.Full(), "partial": {Paths: changed("d")}} {
			t.Run(rule+" "+name, func(t *testing.T) {
				r := newRig(t)
				write(t, r.in("d"), "a file now")
				write(t, r.in(".rules"), "- keep*\n")
				write(t, r.at(".rules"), "- keep*\n")
				write(t, r.at("d/keep.me"), "kept")
				cfg := r.config()
				cfg.Delete, cfg.Filter = true, rules(t, rule)
				rep, err := r.syncer(cfg).Push(t.Context(), batch)
				if err != nil {
					t.Fatal(err)
				}
				if !exists(t, r.at("d/keep.me")) {
					t.Error("what a rule protects was deleted")
				}
				if !rep.Partial && len(rep.Problems) == 0 {
					t.Errorf("nobody says that the file did not arrive: %+v", rep)
				}
			})
		}
	}
}
