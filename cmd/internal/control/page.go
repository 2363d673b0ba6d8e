package control

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
)

// page is all of the page: style and script stand in it, and it fetches nothing but the API.
//
//go:embed page.html
var page []byte

// pagePolicy lets the page's own style and script run, by their hashes, and nothing else: a name of a file that found
// its way into the page as a script would not run.
var pagePolicy = "default-src 'none'; connect-src 'self'; img-src data:" +
	"; style-src " + hashOf("style") + "; script-src " + hashOf("script") +
	"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// hashOf is the hash of what stands between the tags of an element.
func hashOf(element string) string {
	_, rest, _ := bytes.Cut(page, []byte("<"+element+">"))
	content, _, _ := bytes.Cut(rest, []byte("</"+element+">"))
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(page)
}
