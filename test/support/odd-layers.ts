/** Steps of Containerfiles that make what layers treat in their own way. They need a shell, as small as busybox. */

/** What the layers below hold. */
export const LOWER = `
RUN mkdir -p /usr/odd/replaced/deep /usr/odd/emptied /usr/odd/kept && cd /usr/odd && \\
    echo one >kept/one && ln kept/one kept/linked && echo gone >gone && echo deep >replaced/deep/file && \\
    echo x >emptied/x && echo file >becomes-directory && mkdir becomes-file && ln -s kept becomes-real && \\
    touch -d @0 epoch && touch nanoseconds
`;

/** And the one above: removals, other types, links to what lies below, owners, modes. */
export const UPPER = `
RUN cd /usr/odd && rm gone && rm -r replaced && mkdir replaced && echo new >replaced/new && rm emptied/x && \\
    rm becomes-directory && mkdir becomes-directory && echo y >becomes-directory/y && \\
    rmdir becomes-file && echo file >becomes-file && rm becomes-real && mkdir becomes-real && \\
    ln kept/one linked-from-above && ln -s /usr/odd/kept absolute && mkfifo fifo && \\
    chown 1000:70000 kept/one && chmod 4755 epoch && chmod 1777 emptied
RUN touch -d @1262304000 /usr/odd && echo last >>/usr/odd/kept/one
`;
