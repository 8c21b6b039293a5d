"use strict";
// Sends images to this server and shows what it says of them. Texts are set as text, never as HTML.
const MIB = 2 ** 20;
const SLOW = 1500; // milliseconds without an answer, after which the reason is looked for
const $ = (id) => document.getElementById(id);
const ask = $("ask"), part = $("part"), input = $("files"), drop = $("drop"), told = $("told"), trouble = $("trouble");
let files = []; // those on the page
let answer = null; // what was said of them
let asking = null; // aborts the request on its way

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((each) => each)); // what is absent is left out
  return element;
}

const counted = (number, one) => `${number} ${one}${number === 1 ? "" : "s"}`;
const shown = (number) => number.toFixed(3);

function tell(text, busy = false) {
  told.textContent = text;
  told.classList.toggle("busy", busy);
  ask.setAttribute("aria-busy", busy);
}

// No verdicts stay that another question was answered with.
function fail(line) {
  forget();
  tell("");
  trouble.textContent = line;
}

function forget() {
  answer = null;
  $("images").replaceChildren();
  $("study").replaceChildren();
  $("results").hidden = true;
}

// A browser does not say of a request that fails that a file is gone.
const contentsOf = (given) => Promise.all(given.map((file) => file.arrayBuffer().catch(() => null)));

// What the server would refuse after the upload is refused before it.
function refusal(given) {
  const { files: most, fileMib, requestMib } = ask.dataset;
  const large = given.find((file) => file.size > fileMib * MIB);
  if (given.length > Number(most)) return `${given.length} images; give ${most} at most.`;
  if (large) return `${large.name}: ${Math.ceil(large.size / MIB)} MiB; give images of ${fileMib} MiB at most.`;
  if (given.reduce((sum, file) => sum + file.size, 0) > requestMib * MIB) return `Give ${requestMib} MiB at once at most.`;
  if (part.selectedOptions[0].dataset.mustChoose !== undefined) return "Choose the part that the images show.";
  return null;
}

async function judge() {
  if (files.length === 0) return;
  asking?.abort();
  trouble.textContent = "";
  const refused = refusal(files);
  if (refused) return fail(refused);
  const mine = new AbortController(), form = new FormData();
  asking = mine;
  tell("Reading the files.", true);
  const contents = await contentsOf(files);
  if (mine.signal.aborted) return;
  const lost = files.find((_, place) => contents[place] === null);
  if (lost) {
    asking = null;
    return fail(`${lost.name}: it cannot be read; it was moved, changed or removed, or is a folder. Choose the images anew.`);
  }
  files.forEach(({ name }, place) => form.append("files", new Blob([contents[place]]), name));
  if (part.value) form.append("part", part.value);
  form.append("study", files.length > 1);
  form.append("heat", true);
  tell(`${counted(files.length, "image")} sent.`, true);
  const slow = setTimeout(() => tellWhySlow(mine), SLOW);
  try {
    const response = await fetch("v1/predict", { method: "POST", body: form, signal: mine.signal });
    const said = await response.json();
    if (!response.ok) throw new Error(said.error);
    show(said);
  } catch (error) {
    if (mine.signal.aborted) return; // for another one, which tells its own
    fail(error instanceof TypeError ? "The server does not answer; is it still running?" : error.message);
  } finally {
    clearTimeout(slow);
    if (asking === mine) asking = null;
  }
}

async function tellWhySlow(mine) {
  const { parts } = await fetch("v1/parts").then((response) => response.json(), () => ({ parts: [] }));
  if (asking !== mine) return;
  const isLoading = parts.some(({ state }) => state === "loading");
  const why = isLoading ? "the models are being loaded" : "the models are at work";
  tell(`${counted(files.length, "image")} sent; ${why}.`, true);
}

function show(said) {
  answer = said;
  const read = said.images.filter((each) => !each.error), bad = said.images.length - read.length;
  $("images").replaceChildren(...said.images.map((each) => (each.error ? badCard(each) : card(each))));
  $("study").replaceChildren(...(said.study ? [studyCard(said.study)] : []));
  $("heat-control").hidden = $("heat-hint").hidden = !read.some((each) => each.heat);
  $("results").hidden = false;
  showModels([part.selectedOptions[0].dataset.card, ...read.map((each) => each.part)]);
  tell(inShort(said, read, bad));
}

const verdictOf = ({ is_strange: strange, label }) => (strange ? "not judged" : label);

function inShort({ images, study }, read, bad) {
  const labels = [...new Set(read.map(verdictOf))];
  const counts = labels.map((label) => `${read.filter((each) => verdictOf(each) === label).length} ${label}`);
  if (bad) counts.push(`${bad} could not be read`);
  return `${study ? `Study: ${verdictOf(study)}. ` : ""}${counted(images.length, "image")}: ${counts.join(", ")}.`;
}

// P(abnormal), or P(label) where a class of 14 is called, with the threshold marked.
function bar(verdict) {
  const { probability, threshold, label } = verdict;
  const of = threshold === null ? label : "abnormal";
  const text = `P(${of}) ${shown(probability)}${threshold === null ? "" : `, threshold ${shown(threshold)}`}`;
  const meter = made("div", { class: "bar", role: "meter", "aria-label": `P(${of})`, "aria-valuemin": 0, "aria-valuemax": 1,
    "aria-valuenow": probability, "aria-valuetext": text }, made("div", { class: "fill" }));
  const scale = made("p", { class: "scale", "aria-hidden": true }, made("span", {}, "0"), made("span", { class: "end" }, "1"));
  if (threshold !== null) {
    meter.append(made("div", { class: "mark" }));
    scale.append(made("span", { class: "at" }, `threshold ${shown(threshold)}`));
  }
  const whole = made("div", {}, meter, scale);
  whole.style.setProperty("--p", probability);
  whole.style.setProperty("--t", threshold ?? 0);
  return whole;
}

const listOf = (lines) => made("ul", {}, ...lines.map((each) => made("li", {}, each)));
const isAbnormal = ({ label }) => label.endsWith("abnormal"); // of 14 classes too: "XR_HAND abnormal"

function said(verdict) {
  const { label, found, probability, threshold, warnings, is_strange: strange, part: of, model } = verdict;
  const p = made("small", {}, `P(${threshold === null ? "label" : "abnormal"}) = ${shown(probability)}`);
  return [
    strange && made("p", { class: "label strange" }, "not judged"),
    warnings.length > 0 && made("div", { class: "alarm" }, made("strong", {}, "Warning"), listOf(warnings)),
    strange && made("p", { class: "by" }, `Were it one: ${label}`, ", ", p),
    !strange && made("p", { class: `label ${isAbnormal(verdict) ? "abnormal" : "normal"}` }, label, p),
    made("div", { class: strange ? "strange" : isAbnormal(verdict) ? "abnormal" : "normal" }, bar(verdict)),
    found && made("p", {}, `Found to be ${found.part}, P = ${shown(found.probability)}`),
    made("p", { class: "by" }, `${of}, by ${model}`),
  ];
}

let cards = 0;

function article(name, kind, picture, ...lines) {
  const id = `card-${++cards}`;
  const text = made("div", { class: "said" }, made("h3", { id }, name), ...lines);
  return made("article", { class: `card ${kind}`, "aria-labelledby": id }, picture, text);
}

const card = (verdict) => article(verdict.path, "", pictureOf(verdict), ...said(verdict), heatLine(verdict));

function pictureOf({ picture, heat, path }) {
  if (!picture) return null;
  const { width, height } = picture;
  const frame = made("div", { class: "frame" }, made("img", { class: "xray", src: picture.data, width, height, alt: `${path} in grey` }));
  if (heat) frame.append(made("img", { class: "heat", src: heat.layer, alt: `Heat map: what speaks for ${heat.speaks_for}` }));
  return made("div", { class: "shown" }, frame);
}

function heatLine({ heat, no_heat: none }) {
  if (none) return made("p", { class: "by" }, `No heat map: ${none}`);
  if (!heat) return null;
  const nowhere = heat.is_empty ? ": nothing does" : "";
  return made("p", { class: "by" }, `Heat map: what speaks for ${heat.speaks_for}${nowhere}`);
}

const badCard = ({ path, error }) =>
  article(path, "bad", null, made("p", { class: "alarm" }, made("strong", {}, "Not read: "), error));

function studyCard(study) {
  return made("section", { class: "whole", "aria-labelledby": "study-title" },
    made("h3", { id: "study-title" }, `The study of ${counted(study.images, "image")} together`), ...said(study));
}

const known = new Map(); // cards of models by part
let shownModels = [];

async function showModels(parts) {
  const offered = [...part.options].map((each) => each.dataset.card); // a part that is found may have no model
  const wanted = [...new Set(parts)].filter((each) => each && offered.includes(each));
  shownModels = wanted;
  for (const each of wanted) {
    if (!known.has(each)) known.set(each, fetch(`v1/model/${each}`).then((got) => (got.ok ? got.json() : null), () => null));
  }
  const found = (await Promise.all(wanted.map((each) => known.get(each)))).filter(Boolean);
  if (shownModels !== wanted) return; // others are wanted by now
  $("cards").replaceChildren(...found.map(modelCard));
  $("model-title").textContent = found.length > 1 ? "Models" : "Model";
  $("model").hidden = found.length === 0;
}

function modelCard(model) {
  const auc = (figure) => `${shown(figure.value)}${figure.low === null ? "" : ` (95 %: ${shown(figure.low)} to ${shown(figure.high)})`}`;
  const count = (what) => ["train", "valid", "test"].map((split) => model.splits[split][what]).join(" / ");
  const facts = {
    Model: model.model,
    Says: model.classes.length === 2 ? model.classes.join(" or ") : `part and label, ${model.classes.length} classes`,
    Network: [model.architecture, model.image_size && `${model.image_size} × ${model.image_size} pixels`].filter(Boolean).join(", "),
    "Found by": `search ${model.search}, trial ${model.trial}; ${counted(model.trials, "trial")} finished`,
    Data: [model.data, `hash ${model.data_hash}`].filter(Boolean).join(", "),
    "Train / valid / test": `${count("studies")} studies, ${count("patients")} patients`,
    "AUC on test": model.test_auc && `${auc(model.test_auc)}, by study`,
    "AUC on valid": model.valid_auc && `${auc(model.valid_auc)}, by study; flattered, as the model was chosen by it`,
    Takes: model.input,
    Calibrated: `logits divided by ${model.temperature.toFixed(2)}, fitted on valid`,
    "Not for": "decisions on patients; parts of the body that it was not trained on; images that are no radiographs",
  };
  const rows = Object.entries(facts).filter(([, value]) => value);
  return made("section", {}, made("h3", {}, model.part),
    made("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [made("dt", {}, name), made("dd", {}, value)])));
}

function give(list) {
  const given = [...list];
  if (given.length === 0) return;
  files = given;
  judge();
}

input.addEventListener("click", () => { input.value = ""; }); // the same files may be chosen again
input.addEventListener("change", () => give(input.files));
part.addEventListener("change", () => {
  showModels([part.selectedOptions[0].dataset.card]);
  judge();
});
ask.addEventListener("submit", (event) => event.preventDefault());

// Beside the drop zone too: a browser would leave the page for a file that misses it.
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
document.addEventListener("dragenter", () => drop.classList.add("over"));
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  drop.classList.remove("over");
  const folder = [...event.dataTransfer.items].map((each) => each.webkitGetAsEntry?.()).find((each) => each?.isDirectory);
  if (!folder) return give(event.dataTransfer.files);
  asking?.abort();
  files = [];
  fail(`${folder.name} is a folder, which cannot be dropped; drop the images in it.`);
});

const heat = $("heat");
function fade() {
  document.documentElement.style.setProperty("--heat", heat.value / 100);
  heat.setAttribute("aria-valuetext", `${heat.value} per cent`);
  $("heat-told").textContent = `${heat.value} %`;
}
heat.addEventListener("input", fade);
fade();

$("clear").addEventListener("click", () => {
  asking?.abort();
  files = [];
  forget();
  trouble.textContent = "";
  tell("Cleared.");
  input.focus();
});

$("download").addEventListener("click", () => {
  const images = answer.images.map(({ picture, heat: layer, ...rest }) => rest);
  const url = URL.createObjectURL(new Blob([JSON.stringify({ ...answer, images }, null, 1)], { type: "application/json" }));
  made("a", { href: url, download: "verdicts.json" }).click();
  URL.revokeObjectURL(url);
});

showModels([part.selectedOptions[0]?.dataset.card]);
