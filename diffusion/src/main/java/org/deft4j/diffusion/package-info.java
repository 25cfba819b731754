/** The models, and how to sample and what to minimise. */
package org.deft4j.diffusion;
