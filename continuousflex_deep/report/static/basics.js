// Elements, numbers, and what is packed into the page.

/** Whether the browser can draw by WebGL, as molecules and many points need. */
const WEBGL = Boolean(document.createElement("canvas").getContext("webgl2"));

const byId = (id) => document.getElementById(id);

/** A new element with properties and children; texts are never taken for markup. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** The bytes of a packed block; the page forgets its text. */
async function unpackBytes(id) {
  const holder = byId(id);
  const text = atob(holder.textContent.trim());
  holder.textContent = "";
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(plain).arrayBuffer();
}

/** The typed array that the report's pack knows by {block, kind, length}. */
async function unpackArray(packed) {
  const kinds = { Float32Array, Uint32Array, Uint8Array, BigInt64Array };
  const array = new kinds[packed.kind](await unpackBytes(packed.block));
  if (array.length !== packed.length) throw new Error(`block ${packed.block} is damaged`);
  return array;
}

/** Run a library that is packed into the page. */
async function runLibrary(id) {
  const script = element("script");
  script.textContent = new TextDecoder().decode(await unpackBytes(id));
  document.head.append(script);
}

function saveText(name, text, type = "text/plain") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** A number as people write it. */
function told(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(digits)));
}

const counted = (n) => n.toLocaleString("en-US");

/** Text for Plotly, which would read some markup in it. */
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** Text for a comment, which ends with its line. */
const plainLine = (text) => String(text).replace(/[\p{C}\s]+/gu, " ");

const LONGEST_SLUG = 60; // as in io/groups.py

/** What of a name file systems and shells like, never an option's dash first; where letters are lost, with a number that
 * tells it from other names. */
function slug(name) {
  const kept = name.replace(/[^A-Za-z0-9_-]+/g, "_").replace(/^[_-]+|_+$/g, "");
  const whole = kept.length <= LONGEST_SLUG && !/[^\x00-\x7f]/.test(name) && kept;
  if (whole) return kept;
  let hash = 2166136261; // FNV-1a
  for (const letter of name) hash = Math.imul(hash ^ letter.codePointAt(0), 16777619) >>> 0;
  return `${kept.slice(0, LONGEST_SLUG) || "group"}_${hash.toString(16).padStart(8, "0")}`;
}

/** Run what fills a section; what goes wrong is told in it, and leaves the others alone. */
async function within(section, fill) {
  try {
    return await fill();
  } catch (error) {
    const told = `This part cannot be shown: ${error.message}. The rest of the page is not affected.`;
    byId(section).append(element("p", { className: "wrong", role: "alert" }, told));
    console.error(error);
    return null;
  }
}
