/** Layers, losses, optimizers. */
package org.deft4j.nn;
