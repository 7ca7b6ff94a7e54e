// The map of the stations: points, a scale, and tiles of the site's own file where there is one. Nothing from elsewhere.
"use strict";

(() => {
  const box = document.getElementById("map");
  const points = JSON.parse(box.dataset.points);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const map = L.map(box, { zoomControl: false, attributionControl: Boolean(box.dataset.tiles), fadeAnimation: !still, zoomAnimation: !still });
  L.control.zoom({ zoomInTitle: box.dataset.in, zoomOutTitle: box.dataset.out }).addTo(map);
  L.control.scale({ imperial: false }).addTo(map);

  if (box.dataset.kind === "vector") {
    const flavor = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    map.attributionControl.setPrefix(false);
    protomapsL.leafletLayer({ url: box.dataset.tiles, flavor, lang: box.dataset.lang, maxDataZoom: Number(box.dataset.zoom), attribution: "© OpenStreetMap" }).addTo(map);
  } else if (box.dataset.kind === "raster") {
    map.attributionControl.setPrefix(false);
    pmtiles.leafletRasterLayer(new pmtiles.PMTiles(box.dataset.tiles), { maxNativeZoom: Number(box.dataset.zoom), maxZoom: 19 }).addTo(map);
  }

  // Those in trouble are drawn last, so that they lie on top; names and texts are text, never HTML.
  for (const [name, latitude, longitude, state, text, exact] of [...points].reverse()) {
    const point = L.circleMarker([latitude, longitude], { radius: exact ? 8 : 14, className: `point ${state}${exact ? "" : " about"}` });
    const shown = document.createElement("div");
    const link = document.createElement("a");
    link.href = `/stations/${encodeURIComponent(name)}`;
    link.textContent = name;
    const line = document.createElement("div");
    line.textContent = text;
    shown.append(link, line);
    point.bindPopup(shown).addTo(map);
  }
  map.fitBounds(L.latLngBounds(points.map(([, latitude, longitude]) => [latitude, longitude])).pad(0.2), { maxZoom: 13 });
})();
