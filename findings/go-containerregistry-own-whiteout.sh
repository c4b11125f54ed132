#!/bin/sh
# go-containerregistry 0.22.1 loses files of an image whose layer removes a name and adds it again.
#
# A whiteout, .wh.NAME, hides what the layers below have at NAME. What its own layer has there stays: only whiteouts of
# later layers can hide that (OCI Image Specification, "Image Layer Filesystem Changeset", "Whiteouts"). mutate.Extract,
# which crane export and other flatteners use, notes a whiteout as "seen", and passes over what it has seen: if .wh.NAME
# comes first, as whiteouts commonly do, a file NAME after it is left out, a directory with all that is in it. If it
# comes last nothing is lost, so the order within a layer decides. umoci 0.4.7 unpacks both to the same tree.
#
# Expected: etc/conf and the directory www with its new file, in both orders.
# Seen: neither of them by mutate.Extract when the whiteouts come first.
#
# Versions: go-containerregistry 0.22.1, umoci 0.4.7.
#
# Needs Go 1.25 or newer and a Debian 12 machine (apt), for umoci. Builds the library, half a minute of CPU.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
chmod 755 "$directory"
cd "$directory"
apt-get download --quiet=2 umoci=0.4.7+ds-3+b7 >/dev/null 2>&1
dpkg-deb --extract umoci_*.deb .
cat >go.mod <<'MOD'
module check

go 1.25.0

require github.com/google/go-containerregistry v0.22.1
MOD
cat >main.go <<'GO'
package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// A layer of empty files, and of directories where a name ends with a slash.
func layer(names ...string) v1.Layer {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, name := range names {
		header := &tar.Header{Name: name, Mode: 0o755, Typeflag: tar.TypeReg}
		if strings.HasSuffix(name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := writer.WriteHeader(header); err != nil {
			panic(err)
		}
	}
	if err := writer.Close(); err != nil {
		panic(err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	return must(tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer)))
}

func image(layers ...v1.Layer) v1.Image {
	typed := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	config := must(typed.ConfigFile()).DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	return must(mutate.AppendLayers(must(mutate.ConfigFile(typed, config)), layers...))
}

// Writes the image as a layout for umoci, and the names in the flattened image.
func write(name string, image v1.Image) {
	path := must(layout.Write(name, empty.Index))
	tag := map[string]string{"org.opencontainers.image.ref.name": "image"}
	if err := path.AppendImage(image, layout.WithAnnotations(tag)); err != nil {
		panic(err)
	}
	names := must(os.Create(name + ".extract"))
	reader := tar.NewReader(mutate.Extract(image))
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(names, strings.TrimSuffix(header.Name, "/"))
	}
}

func main() {
	below := layer("etc/", "etc/conf", "etc/other", "www/", "www/old")
	write("first", image(below, layer("etc/", "etc/.wh.conf", ".wh.www", "etc/conf", "www/", "www/new")))
	write("last", image(below, layer("etc/", "etc/conf", "www/", "www/new", "etc/.wh.conf", ".wh.www")))
}
GO
GOFLAGS=-mod=mod go run . 2>/dev/null
for order in first last; do
  usr/bin/umoci unpack --rootless --image $order:image bundle-$order >/dev/null 2>&1
  (cd bundle-$order/rootfs && find . -mindepth 1) | sed 's|^\./||' | sort >$order.umoci
  sort -o $order.extract $order.extract
  printf 'whiteouts come %s:\n  umoci 0.4.7           %s\n  mutate.Extract 0.22.1 %s\n' $order \
    "$(paste -sd' ' $order.umoci)" "$(paste -sd' ' $order.extract)"
done
printf '%s\n' etc etc/conf etc/other www www/new >whole
printf '%s\n' etc etc/other >part
for file in first.umoci last.umoci last.extract; do cmp $file whole; done
if ! cmp -s first.extract part; then
  echo "it is otherwise now" >&2
  exit 1
fi
