/** What the tokenizers share: vocabularies, merges, text that is well formed. */
package org.deft4j.diffusion.text;
