#!/bin/sh
# The registry of go-containerregistry 0.22.1 lists what refers to an image under the type of its config.
#
# An attestation in a registry is a manifest with the image as its subject and a type of its own, artifactType; its
# config is often the empty one. A list of referrers gives that type for each, and the config's only for a manifest that
# has none (OCI Distribution Specification 1.1, "Listing Referrers"). pkg/registry, a registry for tests, always gives
# the config's. Who asks it for referrers of one type gets none, with remote.Referrers of the same library too. Where a
# registry has no such lists, that library keeps one itself, under a tag, and the types in it are right.
#
# Expected: application/vnd.in-toto+json, and one found by it, in both registries.
# Seen: so without the API; with it, application/vnd.oci.empty.v1+json and none.
#
# Needs Go 1.25 or newer. Builds the library, half a minute of CPU.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
cat >go.mod <<'MOD'
module check

go 1.25.0

require github.com/google/go-containerregistry v0.22.1
MOD
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const artifactType = "application/vnd.in-toto+json"

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// A manifest as it is, for remote.Put.
type raw []byte

func (manifest raw) RawManifest() ([]byte, error)        { return manifest, nil }
func (manifest raw) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// Puts an image and an attestation of it into a registry. The types that its referrers have there, all and by type.
func list(hasAPI bool) (string, string) {
	handler := registry.New(registry.WithReferrersSupport(hasAPI), registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(handler)
	defer server.Close()
	repository := must(name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/image"))
	image := must(random.Image(100, 1))
	check(remote.Write(repository.Tag("latest"), image))
	subject := must(partial.Descriptor(image))

	config := static.NewLayer([]byte("{}"), types.OCIEmptyJSON)
	statement := static.NewLayer([]byte("{}\n"), artifactType)
	for _, blob := range []v1.Layer{config, statement} {
		check(remote.WriteLayer(repository, blob))
	}
	manifest := raw(must(json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  artifactType,
		Config:        *must(partial.Descriptor(config)),
		Layers:        []v1.Descriptor{*must(partial.Descriptor(statement))},
		Subject:       subject,
	})))
	digest, _, err := v1.SHA256(strings.NewReader(string(manifest)))
	check(err)
	check(remote.Put(repository.Digest(digest.String()), manifest))

	typesOf := func(options ...remote.Option) string {
		index := must(remote.Referrers(repository.Digest(subject.Digest.String()), options...))
		found := []string{}
		for _, one := range must(index.IndexManifest()).Manifests {
			found = append(found, one.ArtifactType)
		}
		return strings.Join(found, " ")
	}
	return typesOf(), typesOf(remote.WithFilter("artifactType", artifactType))
}

func main() {
	all, wanted := list(false)
	fmt.Printf("without the referrers API:\n  all      %s\n  by type  %s\n", all, wanted)
	allOfAPI, wantedOfAPI := list(true)
	fmt.Printf("with it:\n  all      %s\n  by type  %s\n", allOfAPI, wantedOfAPI)
	if all != artifactType || wanted != artifactType || allOfAPI != string(types.OCIEmptyJSON) || wantedOfAPI != "" {
		fmt.Fprintln(os.Stderr, "it is otherwise now")
		os.Exit(1)
	}
}
GO
GOFLAGS=-mod=mod go build -o check . 2>/dev/null
./check
