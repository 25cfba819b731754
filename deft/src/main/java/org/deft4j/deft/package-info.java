/** Adapters, their training, their evaluation, the command line. */
package org.deft4j.deft;
