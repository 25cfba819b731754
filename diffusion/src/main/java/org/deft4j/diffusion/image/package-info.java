/** Pictures: reading, resizing, cropping, writing as PNG, and to tensors and back. */
package org.deft4j.diffusion.image;
