// Frames beside the texts of a class: the text in focus tints each frame by its cosine with it.
import { chosen, panel, request } from "/static/descriptor_gen.review/page.js";

const LEVELS = 9;
const POLL = 400; // milliseconds between questions, while the server loads or counts
const GREY = 8; // width of the picture that stands for a frame that cannot be shown
const wide = matchMedia("(min-width: 56.25rem)");
let known = null; // the last answer
let asked = 0;

const column = () => document.getElementById("frames");
// The label of the page's class; undefined on other pages, also on that which compares writers.
const label_of_page = () => /^\d+$/.test(panel()?.dataset.label ?? "") ? panel().dataset.label : undefined;

// Ask for what the videos say about this page's texts, until that is about the texts as they are now.
async function refresh() {
  const mine = ++asked, label = label_of_page();
  const answer = await request(label === undefined ? "/videos" : `/class/${label}/frames`, undefined, { quiet: true });
  if (!answer || mine !== asked) return;
  const { value } = answer;
  if (label !== undefined) put(label, value);
  if (value.loading || (label !== undefined && value.videos && !value.fresh)) setTimeout(() => mine === asked && refresh(), POLL);
}

function put(label, value) {
  if (!column()) return;
  if (!value.loading && !value.videos && !value.note) return column().remove();
  column().querySelector(".note").textContent = value.html ? "" : value.note || "The texts are being compared with the videos.";
  column().classList.toggle("failed", !value.html && !value.loading && (!value.videos || value.fresh));
  if (!value.html) return;
  const content = column().querySelector(".content"), old = content.querySelector("details");
  if (known?.html !== value.html || known.label !== label || !old) {
    content.innerHTML = value.html; // made by our server, which escapes
    content.querySelector("details").open = old ? old.open : wide.matches;
  }
  known = { ...value, label };
  for (const [id, html] of Object.entries(value.said)) put_said(id, html);
  tint();
}

function put_said(id, html) {
  const item = document.getElementById(`d${id}`), before = document.getElementById(`said${id}`);
  if (!item || before?.made === html) return;
  if (before) before.outerHTML = html;
  else {
    item.querySelector(".impact")?.remove();
    item.querySelector(".about").insertAdjacentHTML("beforeend", html);
  }
  document.getElementById(`said${id}`).made = html;
}

// Tint each frame by its cosine with the text in focus; without one, with the label.
function tint() {
  if (!known || !column()?.querySelector(".clips")) return;
  const id = chosen()?.dataset.id in known.cosines ? chosen().dataset.id : "label";
  const [low, high] = known.scale;
  [document.getElementById("about-text").textContent, document.getElementById("more-about-text").textContent] = known.details[id];
  column().querySelector(".low").textContent = low.toFixed(3);
  column().querySelector(".high").textContent = high.toFixed(3);
  column().querySelectorAll(".strip").forEach((strip, number) => {
    const cosines = known.cosines[id][number];
    strip.querySelectorAll("li").forEach((frame, place) => {
      const cosine = cosines[Math.min(place, cosines.length - 1)];
      const level = high > low ? Math.round((LEVELS - 1) * (cosine - low) / (high - low)) : 0;
      frame.className = `t${level}`;
      frame.querySelector(".cosine").textContent = cosine.toFixed(3);
      const picture = frame.querySelector("img");
      picture.alt = `${picture.dataset.missing || picture.dataset.alt}, cosine ${cosine.toFixed(3)}`;
    });
  });
}

// A video that cannot be read has grey pictures; the server says why in a header.
document.addEventListener("load", async ({ target }) => {
  if (!target.matches?.("img.thumb") || target.naturalWidth !== GREY) return;
  const answer = await fetch(target.src);
  const reason = decodeURIComponent(answer.headers.get("x-picture-missing") || "");
  const strip = target.closest(".strip");
  if (!reason || !strip) return;
  target.dataset.missing = reason;
  if (!strip.querySelector(".missing")) strip.querySelector("figcaption").insertAdjacentElement("afterend", Object.assign(document.createElement("p"), { className: "missing", textContent: reason }));
  tint();
}, true);

document.addEventListener("focusin", (event) => { if (event.target.closest(".item")) tint(); });
wide.addEventListener("change", () => { const details = column()?.querySelector("details"); if (details) details.open = wide.matches; });

// A decision or a visit has put new texts on the page. After a decision the numbers take a moment.
let soon = 0;
new MutationObserver((changes) => {
  if (!changes.some(({ target }) => target.id === "class" || target === document.body)) return;
  clearTimeout(soon);
  if (column() && known && label_of_page() === known.label) soon = setTimeout(refresh, POLL);
  else refresh();
}).observe(document.body, { childList: true, subtree: true });
refresh();
