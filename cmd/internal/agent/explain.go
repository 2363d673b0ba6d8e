package agent

import "github.com/lockstep-sync/lockstep/syncer"

// Explain says of each path, relative to the source or absolute below it, whether it takes part, and
// why. No target is needed, and none is looked at.
func Explain(s Settings, paths []string) ([]syncer.Explanation, error) {
	s.Target = "." // whatever it is, it decides nothing
	cfg, err := s.config(syncer.Sink{})
	if err != nil {
		return nil, err
	}
	source, err := syncer.New(cfg)
	if err != nil {
		return nil, err
	}
	defer source.Close() // nothing was opened
	list := make([]syncer.Explanation, 0, len(paths))
	for _, p := range paths {
		x, err := source.Explain(p)
		if err != nil {
			return list, err
		}
		list = append(list, x)
	}
	return list, nil
}
