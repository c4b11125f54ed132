/** Where bootc's base images keep a copy of the root that they should look like. */
export const BASE_IMAGE_REFERENCE = "usr/share/doc/bootc/baseimage/base";
