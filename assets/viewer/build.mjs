// Builds dist/: our page bundled, and noVNC copied beside it exactly as published, with its licences.
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const novnc = join(here, "node_modules/@novnc/novnc");
const { version } = JSON.parse(await readFile(join(novnc, "package.json"), "utf8"));

// The bundle imports noVNC at run time from its own files: they stay the source form MPL-2.0 asks for.
const novncStaysOutside = {
  name: "novnc-stays-outside",
  setup(bundler) {
    bundler.onResolve({ filter: /^@novnc\/novnc$/ }, () => ({
      path: "./novnc/core/rfb.js",
      external: true,
    }));
  },
};

await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, "novnc"), { recursive: true });
await build({
  entryPoints: { viewer: join(here, "src/main.ts") },
  outdir: dist,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  define: { NOVNC_VERSION: JSON.stringify(version) },
  plugins: [novncStaysOutside],
});

for (const file of ["index.html", "viewer.css", "icon.svg"]) {
  await cp(join(here, "src", file), join(dist, file));
}
const published = ["core", "vendor/pako", "LICENSE.txt", "AUTHORS"]
  .concat(["MPL-2.0", "BSD-2-Clause", "BSD-3-Clause", "OFL-1.1"].map((name) => `docs/LICENSE.${name}`));
for (const path of published) {
  await cp(join(novnc, path), join(dist, "novnc", path), { recursive: true });
}
await writeFile(
  join(dist, "novnc/NOTICE.txt"),
  `The files beside this notice are unmodified parts of the npm package @novnc/novnc ${version}:

  core/          noVNC, Mozilla Public License 2.0 (LICENSE.txt, docs/LICENSE.MPL-2.0)
  vendor/pako/   pako, MIT and Zlib (vendor/pako/LICENSE)

They are served in the form in which they are written: what your browser loads is the source.
The same source: https://github.com/novnc/noVNC/tree/v${version}
                 https://www.npmjs.com/package/@novnc/novnc/v/${version}
`,
);
