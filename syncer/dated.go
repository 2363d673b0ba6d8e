package syncer

import (
	"fmt"
	"strings"
	"time"
)

// CheckBackupDir says what is wrong with the conversions of --backup-dir.
func CheckBackupDir(dir string) error {
	_, err := dated(dir, time.Time{})
	return err
}

// dated is --backup-dir for a push that begins at t: some of the conversions of strftime(3) stand in it, %%
// for a percent sign.
func dated(dir string, t time.Time) (string, error) {
	var b strings.Builder
	for {
		text, rest, ok := strings.Cut(dir, "%")
		b.WriteString(text)
		if !ok {
			return b.String(), nil
		}
		if rest == "" {
			return "", fmt.Errorf("--backup-dir %q ends in a percent sign: a %% of its own is written %%%%", dir)
		}
		switch rest[0] {
		case 'Y':
			b.WriteString(t.Format("2006"))
		case 'm':
			b.WriteString(t.Format("01"))
		case 'd':
			b.WriteString(t.Format("02"))
		case 'H':
			b.WriteString(t.Format("15"))
		case 'M':
			b.WriteString(t.Format("04"))
		case 'S':
			b.WriteString(t.Format("05"))
		case 'j':
			b.WriteString(t.Format("002"))
		case '%':
			b.WriteByte('%')
		default:
			return "", fmt.Errorf("--backup-dir: %q is not known: it takes %%Y, %%m, %%d, %%H, %%M, %%S and %%j, and %%%% for a percent sign", "%"+rest[:1])
		}
		dir = rest[1:]
	}
}
