package places

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Dir is where claims of this user are, made if need be: who confines the process lets it write there.
func Dir() (string, error) {
	if dir := os.Getenv(RunDirEnv); dir != "" {
		return dir, private(dir)
	}
	var errs []error
	for _, dir := range usual() {
		err := private(dir)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// usual are the places for it, the best first. All syncs of a user take the same one, since what is there
// at one start is there at the next.
func usual() []string {
	temp := filepath.Join(os.TempDir(), "lockstep-"+strconv.Itoa(os.Geteuid()))
	if os.Geteuid() == 0 {
		return []string{"/run/lockstep", temp}
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return []string{filepath.Join(dir, "lockstep"), temp}
	}
	return []string{temp}
}

// private makes dir, and refuses one that others could write to.
func private(dir string) error {
	// 0711: what is in it is its owner's alone, but for a control socket that a group may reach.
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Uid != uint32(os.Geteuid()) || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s is no directory of this user's alone: remove it, or name another one in %s", dir, RunDirEnv)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &os.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}
