// The column of frames beside the texts of a class. The videos begin to load when the first page asks for them.
import { request } from "/static/descriptor_gen.review/page.js";

const POLL = 1000; // milliseconds

async function load() {
  const answer = await request("/videos", undefined, { quiet: true });
  if (!answer) return;
  const note = document.querySelector("#frames .note");
  if (note) note.textContent = answer.value.note;
  if (answer.value.loading) setTimeout(load, POLL);
}
load();
