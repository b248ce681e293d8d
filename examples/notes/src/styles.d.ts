/** esbuild takes styles as imports; for the compiler they are nothing. */
declare module '*.css'
