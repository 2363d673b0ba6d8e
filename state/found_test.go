package state

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// TestFound is what Found tells, and what of it outlives a kill.
func TestFound(t *testing.T) {
	t.Parallel()
	file := func(names ...string) (list []Path) {
		for _, n := range names {
			list = append(list, Path{Name: n})
		}
		return list
	}
	var crowd []Path
	for i := range maxFound + 1 {
		crowd = append(crowd, Path{Name: fmt.Sprint("d/", i)})
	}
	for _, test := range []struct {
		name  string
		begin []Path // pushed meanwhile
		dir   string
		names []Path
		want  []Path
		lasts []Path // beside them: what is in doubt although it is no news
	}{
		{name: "known", dir: "d", names: file("d/f", "d/g")},
		{name: "above all", dir: ".", names: file(".", "d", "link")},
		{name: "new ones", dir: "d", names: file("d/x", "d/f", "d/a"), want: file("d/a", "d/x")},
		{name: "a directory", dir: "d", names: []Path{{"d/x", true}}, want: file("d/x")},
		{name: "in doubt already", begin: file("d/h"), dir: "d", names: file("d/h")},
		{name: "in a tree in doubt that nobody pushes", dir: "doubt", names: file("doubt/x")},
		{name: "in a tree that is pushed", begin: []Path{{"d", true}}, dir: "d", names: file("d/f", "d/new"), want: file("d/new")},
		{name: "gone when the push began", begin: file("d/gone"), dir: "d", names: file("d/gone"), want: file("d/gone")},
		{name: "no directory when the push began", begin: []Path{{"d/f", true}}, dir: "d/f", names: file("d/f/x"), lasts: file("d/f/x")},
		{name: "excluded", dir: "d", names: file("d/excluded")},
		{name: "behind a link", dir: "link", names: file("link/x")},
		{name: "more than are told apart", dir: "d", names: crowd, want: []Path{{"d", true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := tempDir(t)
			root := dir + "/root"
			must(t, os.MkdirAll(root+"/d", 0o755))
			must(t, os.Symlink("d", root+"/link"))
			for _, name := range []string{"f", "g"} {
				write(t, root+"/d/"+name, name)
			}
			cfg := Config{Dir: dir + "/state", Root: root, Quiet: time.Hour, Excluded: func(name string, _ bool) bool { return name == "d/excluded" }}
			s := opened(t, cfg)
			push(t, s, Path{".", true})
			settleAll(t, s)
			write(t, root+"/d/h", "h")
			must(t, s.doubt(s.current(), []Path{{"doubt", true}}))
			p, err := s.Begin(t.Context(), test.begin)
			must(t, err)
			got, err := s.Found(test.dir, test.names)
			must(t, err)
			if !slices.Equal(got, test.want) {
				t.Errorf("news are %v, not %v", got, test.want)
			}
			p.Done(nil)
			settleAll(t, s)
			cfg.Dir = dir + "/killed"
			must(t, os.CopyFS(cfg.Dir, os.DirFS(dir+"/state")))
			after := opened(t, cfg)
			differ := map[string]bool{}
			for _, p := range differs(t, after) {
				differ[p.Name] = p.Tree
			}
			for _, p := range slices.Concat(test.want, test.lasts) {
				if _, ok := differ[p.Name]; !ok && !coveredBy(differ, p.Name) {
					t.Errorf("%v is not among %v", p, differ)
				}
			}
		})
	}
}

// settleAll lets Quiet pass.
func settleAll(t *testing.T, s *Store) {
	t.Helper()
	s.write.Lock()
	defer s.write.Unlock()
	must(t, s.settle(s.current(), time.Now().Add(2*time.Hour)))
}

// BenchmarkFound is a listing of everything that is known.
func BenchmarkFound(b *testing.B) {
	for _, perDir := range []int{20, 100_000} {
		b.Run(fmt.Sprintf("%dnames", perDir), func(b *testing.B) {
			dir := tempDir(b)
			dirs := 100_000 / perDir
			var names [][]Path
			for i := range dirs {
				var list []Path
				must(b, os.MkdirAll(fmt.Sprintf("%s/root/%d", dir, i), 0o755))
				for j := range perDir {
					list = append(list, Path{Name: fmt.Sprintf("%d/file-%d", i, j)})
					write(b, dir+"/root/"+list[j].Name, "")
				}
				names = append(names, list)
			}
			s := opened(b, Config{Dir: dir + "/state", Root: dir + "/root"})
			p, err := s.Begin(b.Context(), []Path{{".", true}})
			must(b, err)
			for b.Loop() {
				for i, list := range names {
					if news, err := s.Found(fmt.Sprint(i), list); err != nil || len(news) > 0 {
						b.Fatal(news, err)
					}
				}
			}
			p.Abandon()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/name")
		})
	}
}
