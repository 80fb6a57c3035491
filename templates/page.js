// Comfort only: without it the link "Ask again" does the same by hand.
(() => {
  const label = document.getElementById("again");
  const box = label.querySelector("input");
  const kept = "cml-iam-again";
  box.checked = localStorage.getItem(kept) !== "no";
  box.addEventListener("change", () => localStorage.setItem(kept, box.checked ? "yes" : "no"));
  label.hidden = false;
  setInterval(() => {
    const busy = document.hidden || document.querySelector("details[open], details :focus");
    if (box.checked && !busy) location.reload();
  }, 60000);
})();
