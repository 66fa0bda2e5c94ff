// Prints what Go's archive/tar sees in each archive of a directory: a line of JSON for each, in order.
package main

import (
	"archive/tar"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
)

var kinds = map[byte]string{
	tar.TypeReg: "file", tar.TypeCont: "file", tar.TypeDir: "directory", tar.TypeSymlink: "symlink",
	tar.TypeLink: "hard link", tar.TypeChar: "device", tar.TypeBlock: "device", tar.TypeFifo: "device",
}

func entries(path string) ([][]any, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	seen := [][]any{}
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return seen, nil
		}
		if err != nil {
			return nil, err
		}
		kind, known := kinds[header.Typeflag]
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if !known {
			kind = "other"
		}
		var size int64
		if kind == "file" {
			size = header.Size
		}
		var link string
		if kind == "symlink" || kind == "hard link" {
			link = header.Linkname
		}
		encode := func(text string) string { return hex.EncodeToString([]byte(text)) }
		seen = append(seen, []any{encode(header.Name), kind, size, encode(link)})
	}
}

func main() {
	paths, err := filepath.Glob(filepath.Join(os.Args[1], "*"))
	if err != nil {
		panic(err)
	}
	for _, path := range paths {
		seen, err := entries(path)
		said := map[string]any{"entries": seen}
		if err != nil {
			said = map[string]any{"error": err.Error()}
		}
		if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
			panic(err)
		}
	}
}
