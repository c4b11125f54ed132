# The images of a fleet, each for all its platforms. See README.md for what to change.
#
#   docker buildx bake --file examples/bake/docker-bake.hcl
variable "REGISTRY" {
  default = "registry.example.com/fleet"
}

target "default" {
  name       = machine
  matrix     = { machine = ["kiosk", "gateway"] }
  context    = "examples/bake"
  dockerfile = "Containerfile"
  platforms  = ["linux/amd64", "linux/arm64"]
  args = {
    MACHINE = machine
    # Another value each time: no cache has the step that seals, neither this builder's nor an imported one.
    SEALING = timestamp()
  }
  # The same once more, for two builds in one second.
  no-cache-filter = ["seal"]
  secret = ["id=key,src=keys/db.key", "id=cert,src=keys/db.crt"]
  # All other stages may come from there. Secrets are in no cache.
  cache-from = ["type=registry,ref=${REGISTRY}/${machine}:cache"]
  cache-to   = ["type=registry,ref=${REGISTRY}/${machine}:cache,mode=max"]
  output     = ["type=oci,dest=${machine}.tar"]
}
