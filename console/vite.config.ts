import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The built console goes into the Python package, which serves it. No inlined assets: the page's
// content security policy allows nothing inline.
export default defineConfig({
  plugins: [react()],
  build: { outDir: "../csms/console_dist", emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: {
    proxy: {
      "/api": "http://127.0.0.1:8080",
      "/sign-in": "http://127.0.0.1:8080",
      "/events": { target: "ws://127.0.0.1:8080", ws: true },
    },
  },
});
