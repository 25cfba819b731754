/** The bench: what is measured, how, and against which limit of the machine. */
package org.deft4j.deft.bench;
