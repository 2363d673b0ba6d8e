package filter

import (
	"fmt"
	"strings"
	"testing"
)

// benchRules are 20 rules as people write them.
const benchRules = `- .git/
- node_modules/
- *.o
- *.a
- *.pyc
- *~
- .*.sw?
- .DS_Store
- /tmp/
- /var/cache/
- /build/*/out
- __pycache__/
- *.log
+ /keep/***
- core.[0-9]*
P uploads/
- cache/**/tmp
- **/target/debug
- *.[ch].orig
- Thumbs.db`

func BenchmarkExcluded(b *testing.B) {
	l := mustList(b, strings.Split(benchRules, "\n")...)
	for _, p := range []string{"index.html", "srv/www/site/static/images/2024/photo_0001.jpg"} {
		b.Run(fmt.Sprintf("20rules/%dbytes", len(p)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Excluded(p, false)
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	const p = "srv/www/site/static/images/2024/photo_0001.jpg"
	for _, pattern := range []string{"photo", "*.o", "*photo*.jpg", "/srv/*/site", "static/images", "**/tmp", "cache/**"} {
		l := mustList(b, "- "+pattern)
		b.Run(strings.ReplaceAll(pattern, "/", ":"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Excluded(p, false)
			}
		})
	}
}
