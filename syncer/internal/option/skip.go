package option

import (
	"path"
	"strings"
)

// defaultSkip are the suffixes of rsync(1), --skip-compress: data that are compressed already.
const defaultSkip = "3g2/3gp/7z/aac/ace/apk/avi/bz2/deb/dmg/ear/f4v/flac/flv/gpg/gz/iso/jar/jpeg/jpg/lrz/lz/lz4/lzma/lzo/" +
	"m1a/m1v/m2a/m2ts/m2v/m4a/m4b/m4p/m4r/m4v/mka/mkv/mov/mp1/mp2/mp3/mp4/mpa/mpeg/mpg/mpv/mts/odb/odf/odg/odi/odm/odp/ods/odt/" +
	"oga/ogg/ogm/ogv/ogx/opus/otg/oth/otp/ots/ott/oxt/png/qt/rar/rpm/rz/rzip/spx/squashfs/sxc/sxd/sxg/sxm/sxw/sz/tbz/tbz2/tgz/" +
	"tlz/ts/txz/tzo/vob/war/webm/webp/xz/z/zip/zst"

// maxSuffix is the length beyond which rsync cuts a suffix of the list.
const maxSuffix = 32

// Skip is the list of --skip-compress: suffixes of files whose data are not worth compressing.
type Skip struct {
	suffixes map[string]bool
	classes  [][]string // those with classes: for each place the characters that may stand there
}

// ParseSkip reads suffixes between slashes, such as "gz/jpg/mp[34]". A class is a plain list
// of characters; "*" and "?" stand for themselves, and so does a bracket that makes no class
// (rsync 3.5.0 token.c, add_suffix).
func ParseSkip(list string) *Skip {
	s := &Skip{suffixes: map[string]bool{}}
	for suffix := range strings.SplitSeq(strings.ToLower(list), "/") {
		suffix = suffix[:min(len(suffix), maxSuffix)]
		switch {
		case suffix == "":
		case strings.Contains(suffix, "["):
			s.classes = append(s.classes, places(suffix))
		default:
			s.suffixes[suffix] = true
		}
	}
	return s
}

// places are the characters that may stand at each place of suffix.
func places(suffix string) (all []string) {
	for suffix != "" {
		if suffix[0] == '[' {
			if class, rest, ok := strings.Cut(suffix[1:], "]"); ok && class != "" {
				all = append(all, class)
				suffix = rest
				continue
			}
		}
		all = append(all, suffix[:1])
		suffix = suffix[1:]
	}
	return all
}

// Match says whether the list has the suffix of the file name: what follows the last dot of
// its last component, if something stands before it.
func (s *Skip) Match(name string) bool {
	base := path.Base(name)
	dot := strings.LastIndexByte(base, '.')
	if dot <= 0 {
		return false
	}
	suffix := strings.ToLower(base[dot+1:])
	if s.suffixes[suffix] {
		return true
	}
	for _, places := range s.classes {
		if matchPlaces(places, suffix) {
			return true
		}
	}
	return false
}

func matchPlaces(places []string, suffix string) bool {
	if len(places) != len(suffix) {
		return false
	}
	for i, class := range places {
		if strings.IndexByte(class, suffix[i]) < 0 {
			return false
		}
	}
	return true
}

// Skip is the list that holds: that of --skip-compress, or rsync's default.
func (s *Set) Skip() *Skip {
	if s.SkipGiven {
		return ParseSkip(s.SkipCompress)
	}
	return ParseSkip(defaultSkip)
}
