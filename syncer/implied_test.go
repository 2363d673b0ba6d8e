package syncer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestImpliedRules(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want []string
	}{
		{"none", Options{Delete: true}, nil},
		{"backups", Options{Delete: true, Backup: true}, []string{"P *~"}},
		{"backups with a suffix", Options{Delete: true, Backup: true, Suffix: ".was"}, []string{"P *.was"}},
		{"backups elsewhere", Options{Delete: true, BackupDir: "../old"}, nil},
		{"backups here after all", Options{Delete: true, BackupDir: "./"}, []string{"P *~"}},
		{"nothing is deleted", Options{Backup: true}, nil},
		{"what is excluded goes", Options{Delete: true, DeleteExcluded: true, Backup: true}, nil},
		{"partial dir", Options{PartialDir: ".part/"}, []string{"-p .part/"}},
		{"delay updates", Options{DelayUpdates: true}, []string{"-p .~tmp~/"}},
		{"one partial dir for all", Options{DelayUpdates: true, PartialDir: "/var/part"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, impliedRules(&tt.o)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
